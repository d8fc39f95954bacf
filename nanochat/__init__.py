"""NanoChat for transformers: importing this package makes the Auto classes use the models defined here."""

from __future__ import annotations

from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from nanochat.model.configuration_nanochat import NanoChatConfig
from nanochat.model.modeling_nanochat import NanoChatForCausalLM, NanoChatModel, NanoChatPreTrainedModel

__all__ = ["NanoChatConfig", "NanoChatForCausalLM", "NanoChatModel", "NanoChatPreTrainedModel"]

AutoConfig.register(NanoChatConfig.model_type, NanoChatConfig, exist_ok=True)
AutoModel.register(NanoChatConfig, NanoChatModel, exist_ok=True)
AutoModelForCausalLM.register(NanoChatConfig, NanoChatForCausalLM, exist_ok=True)

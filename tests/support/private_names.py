"""The private names of other libraries that this project has, each library's in one file, or a part's of it.

A new name goes into the library's file and here, a new library gets a row in each of the three tables.
"""

FILE = {
    "torch": "intrinsic/surgery/torch_internals.py",
    "torch.optim": "intrinsic/surgery/optimizer_internals.py",
    "torch.compiler": "intrinsic/surgery/compiler_internals.py",
    "transformers": "intrinsic/surgery/transformers_internals.py",
    "accelerate": "intrinsic/surgery/transformers_internals.py",
    "numba": "intrinsic/projections/kernels/cache.py",
}
# the oldest version that pyproject.toml asks for and the newest that was tried: both have every name
VERSIONS = {
    "torch": ("2.6", "2.13"),
    "torch.optim": ("2.6", "2.13"),
    "torch.compiler": ("2.6", "2.13"),
    "transformers": ("5", "5.24"),
    "accelerate": ("1.2", "1.15"),
    "numba": ("0.61", "0.68"),
}
# each name with what has it, "module:thing", or in whose source it stands where instances alone have it
MODULE, CONFIG, CACHE = "torch.nn:Module", "transformers:PreTrainedConfig", "numba.core:caching"
NAMES = {
    "torch": {
        "_C": "torch",
        "_apply": MODULE,
        "_autograd": "torch:_C",
        "_backward_hooks": MODULE,
        "_backward_pre_hooks": MODULE,
        "_buffers": MODULE,
        "_cache": "torch.nn.utils.parametrize",
        "_cache_enabled": "torch.nn.utils.parametrize",
        "_conv_forward": "torch.nn:Conv2d",
        "_current_autograd_node": "torch:_C",
        "_current_graph_task_id": "torch:_C",
        "_ddp_params_and_buffers_to_ignore": "torch.nn.parallel:DistributedDataParallel",
        "_execution_engine": "torch.autograd:Variable",
        "_extra_state": "torch.nn.modules:module",
        "_foreach_copy_": "torch",
        "_forward_hooks": MODULE,
        "_forward_hooks_always_called": MODULE,
        "_forward_hooks_with_kwargs": MODULE,
        "_forward_pre_hooks": MODULE,
        "_forward_pre_hooks_with_kwargs": MODULE,
        "_functorch": "torch:_C",
        "_get_current_graph_task_keep_graph": "torch:_C._autograd",
        "_get_sequence_nr": "torch:_C._autograd",
        "_input_metadata": "torch.autograd.graph:Node",
        "_is_full_backward_hook": MODULE,
        "_len_torch_dispatch_stack": "torch:_C",
        "_load_state_dict_post_hooks": MODULE,
        "_load_state_dict_pre_hooks": MODULE,
        "_modules": MODULE,
        "_non_persistent_buffers_set": MODULE,
        "_opt_called": "torch.optim:lr_scheduler",
        "_parameters": MODULE,
        "_pytree": "torch:utils",
        "_qkv_same_embed_dim": "torch.nn:MultiheadAttention",
        "_saved_": "torch:_C._functions.MulBackward0",
        "_sequence_nr": "torch.autograd.graph:Node",
        "_set_sequence_nr": "torch:_C._FunctionBase",
        "_state_dict_hooks": MODULE,
        "_state_dict_pre_hooks": MODULE,
        "_version": "torch:Tensor",
    },
    "torch.optim": {
        "_backward_hooks": "torch:Tensor",
        "_fused_adam_": "torch",
        "_fused_adamw_": "torch",
        "_fused_sgd_": "torch",
        "_global_optimizer_post_hooks": "torch.optim.optimizer",
        "_global_optimizer_pre_hooks": "torch.optim.optimizer",
        "_optimizer_step_post_hooks": "torch.optim:Optimizer",
        "_optimizer_step_pre_hooks": "torch.optim:Optimizer",
        "_post_accumulate_grad_hooks": "torch:Tensor",
        "_wrapped_by_lr_sched": "torch.optim:lr_scheduler",
    },
    "torch.compiler": {"_compiled_call_impl": MODULE, "_dynamo": "torch"},
    "transformers": {
        "_attn_implementation": CONFIG,
        "_attn_implementation_internal": CONFIG,
        "_experts_implementation": CONFIG,
        "_model_mapping": "transformers:AutoModelForCausalLM",
        "_name_or_path": CONFIG,
    },
    "accelerate": {"_hf_hook": "accelerate:hooks", "_old_forward": "accelerate:hooks"},
    "numba": {
        "_cache": "numba.core:dispatcher",
        "_cache_file": CACHE,
        "_cache_path": CACHE,
        "_dump": CACHE,
        "_impl": CACHE,
        "_index_key": CACHE,
        "_index_path": CACHE,
        "_open_for_write": CACHE,
    },
}


def of_file(path):
    """The names that a file may have."""
    return {name for library, file in FILE.items() if file == path for name in NAMES[library]}

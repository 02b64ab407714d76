"""What fails when memory is not enough."""


def out_of_memory(error: Exception) -> bool:
    """Whether Python, numpy or torch says so: for torch on a CPU it is a RuntimeError like any other."""
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"  # torch is not imported here
    return named or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))

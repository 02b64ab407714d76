"""Writers for tests of files."""

from intrinsic.files.data_folder import write_data as write_data


def text(content):
    return lambda path: path.write_text(content)

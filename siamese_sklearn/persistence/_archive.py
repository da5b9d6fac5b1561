"""The file: a zip archive of one JSON text and of arrays in NumPy's format."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

from numpy.lib import format as npy

from siamese_sklearn._files import replaced
from siamese_sklearn._typing import Array

__all__ = ["FORMAT", "read_archive", "write_archive"]

FORMAT = 1  # raise it when an older version could not read the file
_RECORD = "siamese_sklearn.json"
_START = b"PK\x03\x04"  # of any zip archive that holds something
_EPOCH = (1980, 1, 1, 0, 0, 0)  # so that equal models give equal bytes


def write_archive(path: Path, record: dict[str, Any], arrays: dict[str, Array]) -> None:
    """Write a file whole, or leave what was there."""
    text = json.dumps({"format": FORMAT, **record}, allow_nan=False, indent=1)
    with replaced(path) as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo(_RECORD, _EPOCH), text)
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            with archive.open(member, "w", force_zip64=True) as stream:
                npy.write_array(stream, array, allow_pickle=False)


def read_archive(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read the record and the arrays of a file.

    Raises
    ------
    ValueError
        If the file is of another kind, damaged, or in a newer format.
    """
    with path.open("rb") as file:
        start = file.read(30 + len(_RECORD))  # a zip's first name comes after 30 bytes
        if not start.startswith(_START) or not start.endswith(_RECORD.encode()):
            raise ValueError(
                f"{path} was not written by siamese_sklearn.persistence.save. Read "
                "pickles with the module that wrote them, if you trust their author."
            )
        try:
            record, arrays = _members(file)
        except Exception as error:  # damage makes zipfile and NumPy raise many kinds
            raise ValueError(
                f"{path} is damaged or cut short ({type(error).__name__}: {error}). "
                "Copy it again, or save the model again."
            ) from error
    if record["format"] > FORMAT:
        raise ValueError(
            f"{path} has format {record['format']}, but this version of "
            f"siamese_sklearn reads formats up to {FORMAT}. Install version "
            f"{record.get('written_by', {}).get('siamese_sklearn')} or a later one."
        )
    return record, arrays


def _members(file: BinaryIO) -> tuple[dict[str, Any], dict[str, Array]]:
    with zipfile.ZipFile(file) as archive:
        members = {info.filename: info for info in archive.infolist()}
        # nothing is compressed, so that a small file cannot fill the memory
        if any(info.compress_type != zipfile.ZIP_STORED for info in members.values()):
            raise ValueError("a member is compressed")
        record = json.loads(archive.read(members.pop(_RECORD)))  # checks the CRC
        if not isinstance(record["format"], int):
            raise ValueError("the format is not a number")
        if record["format"] > FORMAT:
            return record, {}
        arrays = {
            name.removesuffix(".npy"): npy.read_array(
                io.BytesIO(archive.read(info)), allow_pickle=False
            )
            for name, info in members.items()
        }
    return record, arrays

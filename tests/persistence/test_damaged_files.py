"""Files that are damaged, foreign, newer, or made to do harm."""

import contextlib
import io
import json
import pickle
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import quick
from siamese_sklearn.persistence import load, save

RECORD = "siamese_sklearn.json"


@pytest.fixture(scope="module")
def model(request):
    X = np.random.default_rng(0).normal(size=(20, 3))
    return quick(tower="mlp", n_components=2, max_epochs=1).fit(X, [*"ab"] * 10)


@pytest.fixture(scope="module")
def whole(model, tmp_path_factory):
    """The bytes of a file, and a path to write others to."""
    path = tmp_path_factory.mktemp("models") / "model.npz"
    save(model, path)
    return path.read_bytes(), path


def rewritten(content, change=None, compression=zipfile.ZIP_STORED, **members):
    """A file with another record, or with other members."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    record = json.loads(files[RECORD])
    if change is not None:
        change(record)
    files |= {RECORD: json.dumps(record).encode(), **members}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


@settings(max_examples=60)
@given(data=st.data())
def test_a_flipped_byte_is_found_or_does_no_harm(model, whole, data):
    """It may be in a part of the archive that means nothing, such as a date."""
    content, path = whole
    place = data.draw(st.integers(0, len(content) - 1))
    bits = data.draw(st.integers(1, 255))
    path.write_bytes(
        content[:place] + bytes([content[place] ^ bits]) + content[place + 1 :]
    )
    with contextlib.suppress(ValueError):
        loaded = load(path)
        X = np.eye(3)
        np.testing.assert_array_equal(loaded.transform(X), model.transform(X))


def test_every_flipped_byte_of_the_weights_is_found(whole):
    content, path = whole
    start = content.index(b"weights.tower.1.weight.npy") + 200
    for place in range(start, start + 400, 40):
        path.write_bytes(content[:place] + b"\x55\xaa" + content[place + 2 :])
        with pytest.raises(ValueError, match=r"model\.npz is damaged .*CRC"):
            load(path)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.999])
def test_a_file_that_is_cut_short(whole, share):
    content, path = whole
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"model\.npz is damaged or cut short .*again"):
        load(path)


@pytest.mark.parametrize("kind", ["empty", "text", "pickle", "npz"])
def test_a_foreign_file(model, whole, kind):
    path = whole[1]
    if kind == "npz":
        np.savez(path, a=np.eye(2))
    else:
        path.write_bytes(
            {"empty": b"", "text": b"PK\x03\x04" * 99, "pickle": pickle.dumps(model)}[
                kind
            ]
        )
    with pytest.raises(ValueError, match=r"was not written by siamese_sklearn\."):
        load(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")


def test_a_newer_format_names_the_version_to_install(whole):
    content, path = whole

    def change(record):
        record.clear()  # it may be of another form
        record |= {"format": 99, "written_by": {"siamese_sklearn": "7.1.0"}}

    path.write_bytes(rewritten(content, change))
    with pytest.raises(
        ValueError,
        match=r"has format 99.*reads formats up to 1\. Install version 7\.1\.0",
    ):
        load(path)


def test_a_format_that_is_no_number(whole):
    content, path = whole
    path.write_bytes(rewritten(content, lambda record: record.update(format="1")))
    with pytest.raises(ValueError, match="is damaged"):
        load(path)


def test_versions_of_the_writer_are_in_the_file(whole):
    with zipfile.ZipFile(io.BytesIO(whole[0])) as archive:
        written_by = json.loads(archive.read(RECORD))["written_by"]
    assert written_by["numpy"] == np.__version__
    assert written_by.keys() == {
        *("siamese_sklearn", "numpy", "scikit-learn", "scipy", "skorch", "torch")
    }


def test_a_class_of_a_name_in_the_file_is_not_imported(whole, tmp_path, monkeypatch):
    content, path = whole
    (tmp_path / "harmful_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("harmful_module.Harm", "os.system", "builtins.eval", "Pipeline"):
        for tag in ("object", "optimizer", name):
            harm = {
                "$": tag,
                "of": name,
                "value": {"command": "true"} if tag != "optimizer" else name,
            }

            def change(record, harm=harm):
                record["parameters"]["tower"] = {"value": harm}

            path.write_bytes(rewritten(content, change))
            with pytest.raises(ValueError, match=r"does not know \(KeyError"):
                load(path)
    assert "harmful_module" not in sys.modules

    def other_estimator(record):
        record["estimator"] = "harmful_module.Harm"

    path.write_bytes(rewritten(content, other_estimator))
    with pytest.raises(ValueError, match="does not know"):
        load(path)
    assert "harmful_module" not in sys.modules


def test_parameters_of_a_later_version(whole):
    content, path = whole

    def change(record):
        record["parameters"]["n_wings"] = {"value": 2}
        record["written_by"]["siamese_sklearn"] = "0.9.1"

    path.write_bytes(rewritten(content, change))
    with pytest.raises(
        ValueError, match=r"does not know .*n_wings.* was written by version 0\.9\.1\."
    ):
        load(path)


class Harm:
    def __reduce__(self):
        return pytest.fail, ("unpickled",)


def test_no_array_is_unpickled(whole):
    content, path = whole
    stream = io.BytesIO()
    np.save(stream, np.array([Harm()], dtype=object), allow_pickle=True)
    path.write_bytes(
        rewritten(content, **{"weights.tower.1.bias.npy": stream.getvalue()})
    )
    with pytest.raises(
        ValueError, match=r"is damaged .*Object arrays cannot be loaded"
    ):
        load(path)


def test_compressed_members_are_refused(whole):
    content, path = whole
    path.write_bytes(rewritten(content, compression=zipfile.ZIP_DEFLATED))
    with pytest.raises(ValueError, match=r"is damaged .*compressed"):
        load(path)


def test_weights_of_another_shape(whole):
    content, path = whole
    stream = io.BytesIO()
    np.save(stream, np.zeros(7, dtype=np.float32))
    path.write_bytes(
        rewritten(content, **{"weights.tower.1.bias.npy": stream.getvalue()})
    )
    with pytest.raises(ValueError, match="weights in the file do not fit the `tower`"):
        load(path)

"""Sealing, passwords and the config."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305
from hypothesis import given
from hypothesis import strategies as st

from jobs.engine.errors import (
    EngineUnsupported,
    Permanent,
    RepositoryDamaged,
    RepositoryExists,
    RepositoryMissing,
    WrongPassword,
)
from jobs.engine.plan import Secret
from jobs.engine.repository import keys
from jobs.engine.repository.config import Config
from jobs.engine.repository.crypto import SEAL_BYTES, BrokenSealError, MasterKey, Sealer
from jobs.engine.repository.keys import ScryptCost, calibrated_cost
from jobs.engine.repository.polynomial import is_irreducible, random_irreducible
from jobs.engine.repository.repository import Repository
from tests.forks import fork

from .repositories import PASSWORD, QUICK, disk_at, fill, new_repository

KEY = MasterKey.random()


def test_the_tag_is_poly1305_aes_of_the_paper() -> None:
    """Bernstein, "The Poly1305-AES message-authentication code", appendix B, first example."""
    k, r = bytes.fromhex("ec074c835580741701425b623235add6"), bytes.fromhex("851fc40c3467ac0be05cc20404f3f700")
    nonce = bytes.fromhex("fb447350c4e868c52ac3275cf9d4327e")
    pad = Cipher(algorithms.AES(k), modes.ECB()).encryptor().update(nonce)
    assert Poly1305.generate_tag(r + pad, bytes.fromhex("f3f6")).hex() == "f4c633c3044fc145f84f335cb81953de"


@given(plain=st.binary(max_size=300))
def test_what_was_sealed_opens(plain: bytes) -> None:
    sealed = Sealer(KEY).seal(plain)
    assert len(sealed) == len(plain) + SEAL_BYTES
    assert Sealer(KEY).open(sealed) == plain
    assert Sealer(KEY).open(b"".join(Sealer(KEY).pieces(plain))) == plain


@given(plain=st.binary(min_size=1, max_size=50), data=st.data())
def test_one_changed_bit_breaks_the_seal(plain: bytes, data: st.DataObject) -> None:
    sealed = bytearray(Sealer(KEY).seal(plain))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BrokenSealError):
        Sealer(KEY).open(sealed)


@given(sealed=st.binary(max_size=64))
def test_noise_breaks_the_seal(sealed: bytes) -> None:
    with pytest.raises(BrokenSealError):
        Sealer(KEY).open(sealed)


def test_a_forked_child_never_uses_a_nonce_of_its_parent() -> None:
    sealer = Sealer(KEY)
    sealer.seal(b"x")
    reader, writer = os.pipe()
    child = fork()
    if not child:
        os.write(writer, b"".join(sealer.seal(b"x")[:16] for _ in range(100)))
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reader, 1600)
    os.close(reader)
    os.close(writer)
    ours = {sealer.seal(b"x")[:16] for _ in range(100)}
    assert ours.isdisjoint(theirs[at : at + 16] for at in range(0, 1600, 16))


def test_no_key_is_ever_printed() -> None:
    assert "=" not in repr(KEY)


def test_polynomials_are_irreducible_and_of_degree_53() -> None:
    polynomial = random_irreducible()
    assert is_irreducible(polynomial)
    assert polynomial.bit_length() == 54
    assert is_irreducible(0x3DA3358B4DC173)
    assert not is_irreducible(0x3DA3358B4DC172)
    assert not is_irreducible(7)


def test_a_repository_opens_with_each_of_its_passwords_and_no_other(tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "r")
    second = repository.add_key(Secret("zwei"), cost=QUICK)
    media = repository.media
    assert Repository.open(media, PASSWORD).id == repository.id
    opened = Repository.open(media, Secret("zwei"))
    assert (opened.id, opened.key_id, opened.key) == (repository.id, second, repository.key)
    with pytest.raises(WrongPassword) as caught:
        Repository.open(media, Secret("drei"))
    assert "drei" not in f"{caught.value} {caught.value.hint}"
    assert {key.id for key in repository.list_keys()} == {repository.key_id, second}
    repository.remove_key(second)
    with pytest.raises(WrongPassword):
        Repository.open(media, Secret("zwei"))
    with pytest.raises(Permanent):
        repository.remove_key(repository.key_id)


def test_the_empty_password_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongPassword):
        Repository.create(disk_at(tmp_path / "r"), Secret(""))


def test_nothing_there_is_missing_and_something_there_exists(tmp_path: Path) -> None:
    with pytest.raises(RepositoryMissing):
        Repository.open(disk_at(tmp_path / "r"), PASSWORD)
    repository = new_repository(tmp_path / "r")
    with pytest.raises(RepositoryExists):
        Repository.create(repository.media, PASSWORD)


def test_an_interrupted_create_is_simply_done_again(tmp_path: Path) -> None:
    media = disk_at(tmp_path / "r")
    keys.add_key(media, MasterKey.random(), PASSWORD, cost=QUICK, clock=new_repository(tmp_path / "other").clock)
    repository = Repository.create(media, PASSWORD, cost=QUICK)
    assert Repository.open(media, PASSWORD).id == repository.id


def test_a_lost_config_is_damage_and_never_overwritten(tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "r")
    fill(repository)
    repository.media.delete("config")
    with pytest.raises(RepositoryDamaged, match="config"):
        Repository.create(repository.media, PASSWORD, cost=QUICK)


def test_a_damaged_key_file_does_not_lock_out_the_others(tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "r")
    bad = repository.add_key(Secret("zwei"), cost=QUICK)
    repository.media.put(f"keys/{bad}", [b"{}"])
    assert Repository.open(repository.media, PASSWORD).id == repository.id
    with pytest.raises(WrongPassword) as caught:
        Repository.open(repository.media, Secret("zwei"))
    assert bad in caught.value.hint
    repository.media.put(f"keys/{repository.key_id}", [b"{}"])
    with pytest.raises(RepositoryDamaged):
        Repository.open(repository.media, PASSWORD)


@pytest.mark.parametrize(
    ("n", "r", "p"), [(0, 8, 1), (3, 8, 1), (1 << 15, 0, 1), (1 << 15, 8, 0), (1 << 40, 8, 1), (1 << 15, 8, 1 << 30)]
)
def test_scrypt_parameters_that_would_hang_or_eat_the_memory_are_refused(n: int, r: int, p: int) -> None:
    with pytest.raises(ValueError, match="scrypt"):
        ScryptCost(n=n, r=r, p=p)


def test_the_calibrated_cost_is_never_below_the_standard() -> None:
    cost = calibrated_cost(seconds=0.01)
    assert cost.n >= ScryptCost().n
    assert cost.p >= 1


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"version":2}',
        b'{"version":2,"id":"x","chunker_polynomial":"25b468838dcb75"}',
        b'{"version":2,"id":"%s","chunker_polynomial":"3"}' % (b"a" * 64),
        b'{"version":"2","id":1,"chunker_polynomial":""}',
    ],
)
def test_a_nonsensical_config_is_damage(text: bytes) -> None:
    with pytest.raises(RepositoryDamaged, match="config"):
        Config.from_json(text)


def test_another_version_of_the_format_is_named() -> None:
    text = Config.random().to_json().replace(b'"version":2', b'"version":1')
    with pytest.raises(EngineUnsupported, match="version 1"):
        Config.from_json(text)


def test_a_repository_travels_to_another_process(tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "r")
    filled = fill(repository)
    child = fork()
    if not child:
        same = Repository(
            media=repository.media,
            key=repository.key,
            config=repository.config,
            key_id=repository.key_id,
            clock=repository.clock,
        )
        os._exit(0 if any(name.endswith(filled.snapshot) for name, _ in same.media.list("snapshots")) else 1)
    assert os.waitpid(child, 0)[1] == 0

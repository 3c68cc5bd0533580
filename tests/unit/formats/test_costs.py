"""What a hash costs: as it is configured, wrong ones by name, and never more than the bounds, whatever is stored."""

import base64
import struct

import pytest

from resetsvc.passwords.formats import FORMATS, Format, bounds, format_named
from tests.unit.formats.vectors import LOW, PASSWORD, PEPPER, SALT, VECTORS, Vector


@pytest.mark.parametrize(
    ("name", "costs", "start"),
    [
        ("argon2id", {"memory_cost": 128, "time_cost": 2, "parallelism": 4}, "$argon2id$v=19$m=128,t=2,p=4$"),
        ("bcrypt", {"rounds": 5}, "$2b$05$"),
        ("django_pbkdf2_sha256", {"iterations": 1234}, "pbkdf2_sha256$1234$"),
        (
            "django_argon2",
            {"memory_cost": 128, "time_cost": 2, "parallelism": 4},
            "argon2$argon2id$v=19$m=128,t=2,p=4$",
        ),
        ("django_bcrypt_sha256", {"rounds": 5}, "bcrypt_sha256$$2b$05$"),
        ("django_scrypt", {"work_factor": 128}, "scrypt$128$"),
        ("werkzeug_scrypt", {"n": 128, "r": 4, "p": 2}, "scrypt:128:4:2$"),
        ("werkzeug_pbkdf2", {"iterations": 1234}, "pbkdf2:sha256:1234$"),
        ("wordpress", {"rounds": 5}, "$wp$2y$05$"),
        ("flask_security", {"time_cost": 2}, "$argon2id$v=19$m=64,t=2,p=1$"),
        ("flask_security", {"inner": "bcrypt", "rounds": 5}, "$2b$05$"),
    ],
)
def test_costs_are_those_that_are_asked_for(name: str, costs: dict[str, object], start: str) -> None:
    form = format_named(name, **(LOW[name] | costs))
    stored = form.hash(PASSWORD)
    assert stored.startswith(start)
    assert form.verify(stored, PASSWORD)
    # Those of a stored hash stand in it.
    assert format_named(name, **LOW[name]).verify(stored, PASSWORD)


def test_djangos_scrypt_writes_block_and_lanes_where_django_looks_for_them() -> None:
    stored = format_named("django_scrypt", work_factor=128, block_size=4, parallelism=2).hash(PASSWORD)
    assert stored.split("$")[3:5] == ["4", "2"]


def test_aspnets_iterations_stand_in_its_head() -> None:
    octets = base64.b64decode(format_named("aspnet_identity_v3", iterations=1234).hash(PASSWORD))
    assert struct.unpack_from(">BIII", octets) == (1, 2, 1234, 16)
    assert len(octets) == 13 + 16 + 32


WRONG: list[tuple[str, dict[str, object], str]] = [
    ("argon2id", {"memory_cost": 7}, "memory_cost has to be a whole number from 32 to"),
    ("argon2id", {"memory_cost": 31, "parallelism": 4}, "memory_cost"),
    ("argon2id", {"memory_cost": 524_289}, "memory_cost"),
    ("argon2id", {"time_cost": 0}, "time_cost"),
    ("argon2id", {"time_cost": True}, "time_cost"),
    ("argon2id", {"parallelism": 65}, "parallelism"),
    ("argon2id", {"memory_cost": 524_288, "time_cost": 9}, "memory_cost times time_cost"),
    ("django_argon2", {"memory_cost": "a lot"}, "memory_cost"),
    ("bcrypt", {"rounds": 3}, "rounds has to be a whole number from 4 to 16"),
    ("bcrypt", {"rounds": 17}, "rounds"),
    ("bcrypt", {"rounds": True}, "rounds"),
    ("bcrypt", {"rounds": "12"}, "rounds"),
    ("bcrypt", {"rounds": 12.0}, "rounds"),
    ("bcrypt", {"rounds": None}, "rounds"),
    ("bcrypt", {"prefix": "2x"}, "prefix has to be one of '2a', '2b', '2y'"),
    ("bcrypt", {"prefix": 2}, "prefix"),
    ("bcrypt", {"pepper": 5}, "pepper has to be a text"),
    ("bcrypt", {"pepper": "\ud800"}, "pepper"),
    ("wordpress", {"rounds": 99}, "rounds"),
    ("django_bcrypt_sha256", {"rounds": -1}, "rounds"),
    (
        "django_pbkdf2_sha256",
        {"iterations": 999},
        "iterations has to be a whole number from 1000 to 10000000",
    ),
    ("werkzeug_pbkdf2", {"iterations": 10_000_001}, "iterations"),
    ("aspnet_identity_v3", {"iterations": 10**20}, "iterations"),
    ("django_scrypt", {"work_factor": 1000}, "work_factor has to be a power of two"),
    ("django_scrypt", {"work_factor": 0}, "work_factor"),
    ("django_scrypt", {"block_size": 65}, "block_size"),
    ("django_scrypt", {"parallelism": 65}, "parallelism"),
    ("django_scrypt", {"parallelism": 64}, "work_factor, block_size and parallelism together"),
    ("werkzeug_scrypt", {"n": 2**19}, "n, r and p together"),
    ("better_auth_scrypt", {"max_length": 0}, "max_length"),
    ("flask_security", {"password_salt": ""}, "password_salt is missing"),
    ("flask_security", {"password_salt": 5}, "password_salt"),
    ("flask_security", {"inner": "scrypt"}, "inner has to be one of 'argon2', 'bcrypt'"),
    ("flask_security", {"normalize": "NFXX"}, "normalize"),
]


@pytest.mark.parametrize(("name", "costs", "says"), WRONG)
def test_a_wrong_cost_is_named_with_what_it_may_be(name: str, costs: dict[str, object], says: str) -> None:
    asked = ({"password_salt": SALT} if name == "flask_security" else {}) | costs
    with pytest.raises(ValueError, match=f"the hash format {name}: ") as told:
        format_named(name, **asked)
    assert says in str(told.value)


def test_flask_securitys_salt_is_asked_for() -> None:
    with pytest.raises(ValueError, match=r"password_salt is missing: .*SECURITY_PASSWORD_SALT"):
        format_named("flask_security")


def test_an_unknown_cost_is_named_with_those_that_there_are() -> None:
    with pytest.raises(
        ValueError, match=r"the hash format bcrypt has no 'stretches'; it has rounds, prefix, pepper"
    ):
        format_named("bcrypt", stretches=12)
    with pytest.raises(ValueError, match=r"better_auth_scrypt has no 'N'; it has max_length"):
        format_named("better_auth_scrypt", N=1024)


def test_an_unknown_format_is_named_with_those_that_there_are() -> None:
    with pytest.raises(
        ValueError, match=r"there is no hash format 'md5'; there are argon2id, bcrypt, "
    ) as told:
        format_named("md5")
    assert all(name in str(told.value) for name in FORMATS)


def test_no_error_shows_a_secret() -> None:
    for name, costs in (
        ("bcrypt", {"pepper": PEPPER, "rounds": 99}),
        ("flask_security", {"password_salt": SALT, "rounds": 99}),
        ("flask_security", {"password_salt": SALT, "inner": SALT}),
        ("bcrypt", {"pepper": [PEPPER]}),
    ):
        with pytest.raises(ValueError, match=name) as told:
            format_named(name, **costs)
        assert PEPPER not in str(told.value)
        assert SALT not in str(told.value)
        # Nor does what led to it.
        assert told.value.__suppress_context__


def dearer(name: str, *changes: str) -> tuple[str, str]:
    """A real hash with other costs: `changes` are what stands there, what shall, and so on."""
    stored = VECTORS[name].stored
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert old in stored
        stored = stored.replace(old, new, 1)
    return VECTORS[name].format, stored


V3 = struct.Struct(">BIII")
HOSTILE = [
    # Each would take minutes, or more memory than there is.
    dearer("pwdlib", "m=64", "m=524289"),
    dearer("pwdlib", "m=64", "m=4294967295"),
    dearer("pwdlib", "t=1", "t=65"),
    dearer("pwdlib", "t=1", "t=4294967295"),
    dearer("pwdlib", "m=64,t=1", "m=524288,t=9"),
    dearer("pwdlib", "p=1", "p=65"),
    dearer("php argon2i", "t=1", "t=4294967295"),
    dearer("django argon2", "m=256", "m=4294967295"),
    dearer("php bcrypt", "$04$", "$17$"),
    dearer("php bcrypt", "$04$", "$31$"),
    dearer("django bcrypt_sha256", "$04$", "$31$"),
    dearer("wordpress", "$04$", "$31$"),
    dearer("flask-security, bcrypt", "$04$", "$31$"),
    dearer("flask-security", "m=64", "m=4294967295"),
    dearer("flask-security, pbkdf2_sha512", "$1000$", "$10000001$"),
    dearer("phpass", "$P$B", "$P$S"),
    dearer("phpass", "$P$B", "$P$H"),
    dearer("django pbkdf2", "$2000$", "$10000001$"),
    dearer("django pbkdf2", "$2000$", "$9999999999$"),
    dearer("werkzeug pbkdf2", ":2000$", ":9999999999$"),
    dearer("django scrypt", "$1024$", "$1048576$"),
    dearer("django scrypt", "$1024$", "$16384$", "$8$5$", "$8$64$"),
    dearer("django scrypt", "$8$5$", "$9999$5$"),
    dearer("werkzeug scrypt", ":1024:", ":1073741824:"),
    dearer("werkzeug scrypt", ":1024:8:1$", ":16384:8:33$"),
    ("aspnet_identity_v3", base64.b64encode(V3.pack(1, 2, 10_000_001, 16) + bytes(48)).decode()),
    ("aspnet_identity_v3", base64.b64encode(V3.pack(1, 2, 2**32 - 1, 16) + bytes(48)).decode()),
    ("aspnet_identity_v3", base64.b64encode(V3.pack(1, 2, 1000, 16) + bytes(16 + 65)).decode()),
]


class Begun(Exception):
    """A slow function was called."""


@pytest.fixture
def nothing_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The libraries' slow functions, each replaced by one that tells that it was called."""

    def begun(*_: object, **__: object) -> None:
        raise Begun

    for function in ("hashlib.scrypt", "hashlib.pbkdf2_hmac", "hashlib.md5", "bcrypt.checkpw"):
        monkeypatch.setattr(function, begun)
    monkeypatch.setattr("resetsvc.passwords.formats.argon2id.verify_secret", begun)


def reader(name: str) -> Format:
    return format_named(name, **({"password_salt": SALT} if name == "flask_security" else {}))


@pytest.mark.usefixtures("nothing_slow")
@pytest.mark.parametrize(("name", "stored"), HOSTILE)
def test_a_stored_hash_that_would_cost_too_much_is_refused_before_it_costs_anything(
    name: str, stored: str
) -> None:
    assert reader(name).recognises(stored), "it fails for another reason than its costs"
    assert not reader(name).verify(stored, PASSWORD)


@pytest.mark.usefixtures("nothing_slow")
@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)
def test_an_honest_hash_is_worked_on(vector: Vector) -> None:
    """Or the test above would hold for want of anything that is called."""
    with pytest.raises(Begun):
        format_named(vector.format, **vector.costs).verify(vector.stored, vector.password)


def test_what_is_written_at_the_bounds_can_be_read() -> None:
    """Bounds to read are not below those to write, or a costly setting would make hashes that never verify."""
    assert bounds.argon2_is_bearable(bounds.MOST_ARGON2_KIB, 8, 64)
    assert bounds.scrypt_is_bearable(2**18, 8, 1)
    assert bounds.scrypt_is_bearable(2, 1, 1)
    for n, r, p in (
        (0, 8, 1),
        (1, 8, 1),
        (3, 8, 1),
        (1024, 0, 1),
        (1024, 8, 0),
        (-1024, 8, 1),
        (2**18, 9, 1),
    ):
        assert not bounds.scrypt_is_bearable(n, r, p)

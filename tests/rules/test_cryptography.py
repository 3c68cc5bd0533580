"""The inventory of cryptography is complete, and nothing in the code is weaker than it says (ASVS 11.1, 11.2, 11.4)."""

import re
import ssl

from tests.rules.source import ROOT, modules

INVENTORY = ROOT / "docs" / "reference" / "cryptography.md"
CRYPTOGRAPHY = {"argon2", "bcrypt", "hashlib", "hmac", "itsdangerous", "random", "secrets", "ssl"}
# Other ways to the same things; a module that takes one has to be written down, and the name added above.
ALSO = {"crypt", "cryptography", "Crypto", "nacl", "uuid", "jwt", "passlib", "OpenSSL"}


def test_every_place_that_does_cryptography_is_in_the_inventory_and_no_other() -> None:
    listed = re.findall(r"^\| `(resetsvc[\w.]+)` \|", INVENTORY.read_text("utf-8"), re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == {module.name for module in modules() if module.libraries & CRYPTOGRAPHY}


def test_nobody_takes_another_way_to_cryptography() -> None:
    assert not {module.name for module in modules() if module.libraries & ALSO}


def test_no_weaker_digest_than_sha_256_but_where_a_protocol_asks_for_it() -> None:
    used = {
        (module.name, name)
        for module in modules()
        for name in module.names
        if re.fullmatch(r"hashlib\.\w+", name)
    }
    slow = {"hashlib.scrypt", "hashlib.pbkdf2_hmac"}
    assert {name for _, name in used} - slow == {"hashlib.sha256", "hashlib.sha1", "hashlib.md5"}
    assert {module for module, name in used if name == "hashlib.sha1"} == {"resetsvc.passwords.breach"}
    # What WordPress once kept: read, never written.
    assert {module for module, name in used if name == "hashlib.md5"} == {"resetsvc.passwords.formats.phpass"}


def test_what_is_secret_is_compared_in_constant_time() -> None:
    """Links by itsdangerous, passwords by argon2-cffi and bcrypt, and whatever else makes or reads a secret by hmac."""
    formats = "resetsvc.passwords.formats"
    comparing = {module.name for module in modules() if "hmac.compare_digest" in module.calls}
    deriving = {f"{formats}.{name}" for name in ("pbkdf2", "phpass", "scrypt")}
    assert comparing == {"resetsvc.audit", "resetsvc.web.ops", "resetsvc.webhooks", *deriving}
    signing = {module.name for module in modules() if "hmac.digest" in module.calls}
    # Made there and compared elsewhere: by itsdangerous, or as a password by those above.
    made = {"resetsvc.tokens", "resetsvc.events", f"{formats}.flask_security", f"{formats}.wordpress"}
    assert signing - comparing == made, "made there, and never compared"
    # Nor does any format compare a key by itself.
    for module in modules(formats):
        assert not re.search(r"\bkey\b (==|!=) ", module.text), module.name


def test_what_nobody_may_guess_comes_from_the_systems_generator() -> None:
    """128 bits for an id of a letter, 256 for a key: `secrets` asks the kernel each time, also under load."""
    asked = {
        module.name: sorted(call for call in module.calls if call.startswith("secrets."))
        for module in modules()
        if "secrets" in module.libraries
    }
    assert asked == {
        "resetsvc.accounts.values": [
            "secrets.choice",
            "secrets.token_bytes",
            "secrets.token_hex",
        ],
        "resetsvc.clock": ["secrets.token_hex"],
        "resetsvc.cli.conform": ["secrets.token_urlsafe"],
        "resetsvc.cli.setup": ["secrets.token_urlsafe"],
        "resetsvc.dev.run": ["secrets.token_urlsafe"],
        "resetsvc.passwords.formats.salts": ["secrets.choice", "secrets.token_bytes"],
    }


def test_tls_is_pythons_default_with_certificates_and_names_checked() -> None:
    """TLS 1.2 and later (ASVS 12.1.1), and nobody turns a check off (12.3.2)."""
    made = {call for module in modules() for call in module.calls if re.search(r"ssl\.\w*[cC]ontext$", call)}
    assert made == {"ssl.create_default_context"}
    assert ssl.create_default_context().minimum_version >= ssl.TLSVersion.TLSv1_2
    for module in modules():
        assert not re.search(
            r"CERT_NONE|check_hostname|verify_mode|minimum_version|verify=False", module.text
        ), module.name

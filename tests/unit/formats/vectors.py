"""Hashes that the applications themselves made, once, as literals: what is written here has to be read the same way."""

from collections.abc import Mapping
from dataclasses import dataclass, field

# Letters of two octets, and one that no normalisation leaves alone in the others.
PASSWORD = "Grüße, 4 ßchöne Wörter"
# NFC, NFD, NFKC and NFKD make four different things of it.
ODD = "ﬁsh & cafe\u0301 ①"
QUOTED = '  it\'s "four" \\ words\t '
LONG = "ö" * 600

SALT = "146585145368132386173505678016728509634"  # SECURITY_PASSWORD_SALT
PEPPER = "0123456789abcdef" * 8  # as long as Devise makes one


@dataclass(frozen=True)
class Vector:
    """format -- what reads it; called -- what `recognise` calls it, where that is another"""

    format: str
    stored: str
    password: str = PASSWORD
    costs: Mapping[str, object] = field(default_factory=dict)
    called: str = ""


VECTORS = {
    # Django 5.2.19: make_password(PASSWORD, hasher=…), each class with its costs lowered.
    "django pbkdf2": Vector(
        "django_pbkdf2_sha256",
        "pbkdf2_sha256$2000$PeV5RQqCBFG8dqmntJUogR$+D3yDOB8lrAfOxfPRqEsCW1CQ7oIL9b1Ew7PlJ/8tuE=",
    ),
    "django argon2": Vector(
        "django_argon2",
        "argon2$argon2id$v=19$m=256,t=1,p=2$N0RLZ2I0OHhiU05IZm1VYkpKOGU0Tg$GYtdDpYqevs8lW2Z0FSf/5FEjML4h1aqUuqZc20iAWQ",
    ),
    "django bcrypt_sha256": Vector(
        "django_bcrypt_sha256", "bcrypt_sha256$$2b$04$4FegOdJH4GsfNAyvnRs7R.MsKHwDwTYOOhOqTgsgD96d/6GCa19Zm"
    ),
    "django scrypt": Vector(
        "django_scrypt",
        "scrypt$1024$pcjk8cHZRM4X0ZPoZkipa2$8$5$UcnPseAhoW+i7pN4VpQ+jynpOY1/ev5fOz0ZIxBhWQ3EJGSrCG8WbMvzZ74K7p/FGiN4WY6gvV7tpfEJb3WHmg==",
    ),
    "django pbkdf2, long": Vector(
        "django_pbkdf2_sha256",
        "pbkdf2_sha256$2000$A7Ghp0JORACqqM7AEO2VXk$axF4SwPbH79CAziDhMgXJulXOYt6HLKhH0bCcfjzZVc=",
        LONG,
    ),
    "django argon2, long": Vector(
        "django_argon2",
        "argon2$argon2id$v=19$m=256,t=1,p=2$SW1GeWNBMzNBenVrNGk4NjNSaXIxVw$4U/gmngItooHHb45I+bzN+fI3UaSGr3G2rlHrf5YlMs",
        LONG,
    ),
    "django bcrypt_sha256, long": Vector(
        "django_bcrypt_sha256",
        "bcrypt_sha256$$2b$04$WtOb3jYHc/ppIF1jP8Arfee1rgN5DBOnrD9WP8rVGQOWdpyujxMN2",
        LONG,
    ),
    "django scrypt, long": Vector(
        "django_scrypt",
        "scrypt$1024$ehx9oFyksiSSW7QrB7cmY3$8$5$OidPkJrQ2nQW1G+aq1ptDqJh7JDwqEAhbdDz+2bFHJcbMc51RFxRVefjGlTmCYkAi2Oi+tYuY56pjjnOzMLRew==",
        LONG,
    ),
    # Werkzeug 3.1.9: generate_password_hash(PASSWORD, method="scrypt:1024:8:1") and so on.
    "werkzeug scrypt": Vector(
        "werkzeug_scrypt",
        "scrypt:1024:8:1$W8dNCGhoyJPKeUUc$2c079b637cba5406fae586f681e30509ceaa21bc7974a5d8a8f5d0eaaaa1aa79f9c381ac781fc9d5e66317b0ddeb17766633e1243c8ba7d603e4fbe185b12e96",
    ),
    "werkzeug scrypt at its default": Vector(
        "werkzeug_scrypt",
        "scrypt:32768:8:1$n8EWm4YCtTf9T0MD$42ce8c85f56272d6b162cc828763e3cd9c81a827652c93e83e0e27aa45bf222e319fe684afd61105df2599b98a807d211b6138ef680c50e3111bce2faa93cf62",
    ),
    "werkzeug pbkdf2": Vector(
        "werkzeug_pbkdf2",
        "pbkdf2:sha256:2000$R7Yn6kjVq8AXNVxc$9cef022d61bf08d866f98d72f8b2af34490e444d08a08628cf805aac5a786cc7",
    ),
    "werkzeug pbkdf2, sha512": Vector(
        "werkzeug_pbkdf2",
        "pbkdf2:sha512:2000$l5PEdhFh3iAeQ2Xc$e164a4b599d5eeccfde95903ecbbf067ab0b34c9fdc496fa68589dfb262efcada73daa8aafb93d447c1d08c2764ded98fcafe66b423139bd554852f08470424b",
    ),
    "werkzeug pbkdf2, sha1": Vector(
        "werkzeug_pbkdf2", "pbkdf2:sha1:2000$zCyXTwREWGELLR6H$f4f047476041ff6188ee04ae7d566c407daba09c"
    ),
    # pwdlib 0.3.0, as fastapi-users 15.0.5 uses it: PasswordHash.recommended().hash(PASSWORD), and lower costs.
    "pwdlib at its default": Vector(
        "argon2id",
        "$argon2id$v=19$m=65536,t=3,p=4$OWybW4WI92etjfuseyoI5Q$QrdrPT1sJjTdX5bHJnZy6QdLdR7+Zu3QfbBe5zIMdWs",
    ),
    "pwdlib": Vector(
        "argon2id",
        "$argon2id$v=19$m=64,t=1,p=1$f+v0vHBIeC1WvFWsQOlwpw$trHOlvyHG7LkGiaYaz6M8QN2d8o+76qcwqC2hAIpgXc",
    ),
    # PHP 8.2.36, which is what Laravel calls: password_hash($p, PASSWORD_BCRYPT, ['cost' => 4]), PASSWORD_ARGON2ID, -I.
    "php bcrypt": Vector("bcrypt", "$2y$04$1w6azV4aP7VuMREFQWk2OOaB8Dl8967.NW/fn2paTBl5vEnCRuJOa"),
    "php argon2id": Vector(
        "argon2id",
        "$argon2id$v=19$m=64,t=1,p=1$ZU9iazRHU2NrYnFDOHlJSg$0vzAC173Tulgj9KXLCnhSye5GMqA5eawPxQZNBV8KQg",
    ),
    "php argon2i": Vector(
        "argon2id",
        "$argon2i$v=19$m=64,t=1,p=1$Vy5XTEVJNGouN0NlWEUzVA$yYQdnfPd2RvARWQXWokggOJDpS921ZdVPg1KFM6Z84o",
    ),
    # Ruby's bcrypt 3.1.18, which is what Devise calls: BCrypt::Password.create(PASSWORD + pepper, cost: 4).
    "ruby bcrypt": Vector("bcrypt", "$2a$04$QCa5BFrZ2DXszpwl5QWspOi2MbcmFJvWbOjrMr39fizjQcktqht3."),
    "ruby bcrypt, long pepper": Vector(
        "bcrypt",
        "$2a$04$418TEkTlqkKe6mFTVXv1e.7J4XAwP8LUah7TfEaOo8PJ5Wp1xcafa",
        costs={"pepper": PEPPER},
    ),
    "ruby bcrypt, short pepper": Vector(
        "bcrypt",
        "$2a$04$Oh/AOkw/WXxIJPUHuKYNUuk/o7JAfVqtFYbtMlzVAkt06OMxeJBtu",
        costs={"pepper": "short pepper"},
    ),
    # libxcrypt by Perl, since bcrypt_elixir (Phoenix) could not be had: crypt(PASSWORD, "$2b$04$abcdefghijklmnopqrstuu").
    "libxcrypt 2b": Vector("bcrypt", "$2b$04$abcdefghijklmnopqrstuuI57bxZQ6EOqQ7VrhuVgiIG4g6iyQFie"),
    # Better Auth 1.7.25: await hashPassword(…) of "better-auth/crypto".
    "better auth": Vector(
        "better_auth_scrypt",
        "7c88009efb3ff2fee2a0c4d30e2ca3d7:4e6e63979bb411b8e70872f386976909a6a50c0e39a40231b99a7428fe0604cd0b490582e528c8472b3b810600d39211427dda00465d4aec9cff199e16d1a2a5",
    ),
    "better auth, odd": Vector(
        "better_auth_scrypt",
        "1216bf45262e3c28d0ebfa5f542aaf77:908061a5368a86c673e254db5627965c08ab353af721aef8181b00e0c7f21e12d9d1455086b85ac10f5dbe63b71918ffbfbcfa44d907ae58f58fd4d1d213689a",
        ODD,
    ),
    # WordPress 6.8's wp_hash_password, its three lines run by PHP 8.2 with a cost of 4, over addslashes($p) as every
    # form of WordPress hands a password in: '$wp' . password_hash(base64_encode(hash_hmac('sha384', trim($p), …
    "wordpress": Vector("wordpress", "$wp$2y$04$MvTLiRJ4pJxPwOnutdMrmOaRpuZlFX.p753vLkS.32s4DO5hCFajG"),
    "wordpress, quoted": Vector(
        "wordpress", "$wp$2y$04$GfisvhFZ07JSRFlKkqS0b.6AavMFELJceOFdXxMsbnCaQMDxz.WHG", QUOTED
    ),
    "wordpress, bcrypt of a plugin": Vector(
        "wordpress",
        "$2y$04$V00wNRwIdC5tydxKF9qDAehCguazCzbZeNAZKmAbD593UZJPqdGNm",
        "it's four words",
        called="bcrypt",
    ),
    # WordPress 6.1.9's own class-phpass.php: (new PasswordHash(8, true))->HashPassword(…), and with 2 for 8.
    "phpass": Vector("wordpress", "$P$BrVaoO1fYc/N3luS.Dhvh5kstdwDoO0"),
    "phpass, quoted": Vector("wordpress", "$P$BvYvkPa07MJbk5L3iSfiDmp.lFOlkn0", QUOTED),
    # Made from ASP.NET Core's documented layout by ten lines of Node (pbkdf2Sync and Buffer), not by .NET, which was not
    # to be had: 100,000 iterations of SHA-512; 2,000 of SHA-512; of SHA-256; and version 2.
    "aspnet at its default": Vector(
        "aspnet_identity_v3",
        "AQAAAAIAAYagAAAAEAABAgMEBQYHCAkKCwwNDg8U9xH+W6qZymea1Iz1H4M7TwUaNV2MVnZ5x3M1QtM+wg==",
    ),
    "aspnet": Vector(
        "aspnet_identity_v3",
        "AQAAAAIAAAfQAAAAEAABAgMEBQYHCAkKCwwNDg+SwC+dO8TAxN91O+N1J8vRN8KtbHwLtVChx3K+Y85Tuw==",
    ),
    "aspnet, sha256": Vector(
        "aspnet_identity_v3",
        "AQAAAAEAAAfQAAAAEAABAgMEBQYHCAkKCwwNDg9i2OzobTiXim8FumE2BA1/UL2kB/1tO4B10pCxaUdYmA==",
    ),
    "aspnet, version 2": Vector(
        "aspnet_identity_v3", "AAABAgMEBQYHCAkKCwwNDg9oDZ1k2UGYXnYaVTkMH5HT5pF2+wnqA8HJSNF32yhaDQ=="
    ),
    # Flask-Security 5.9.2 with libpass 1.9.4: hash_password(password_util.normalize(…)) with SALT, at lower costs.
    "flask-security at its default": Vector(
        "flask_security",
        "$argon2id$v=19$m=65536,t=3,p=4$MmaMkfJ+b82Zs5byvtdaqw$WUMXaioWEkxqbVcNBghTdkhUp+Tt1MlTHsFWs8F+23s",
        costs={"password_salt": SALT},
        called="argon2id",
    ),
    "flask-security": Vector(
        "flask_security",
        "$argon2id$v=19$m=64,t=1,p=1$7H1PqVVKqXVu7X2PcQ7h3A$kA5jDM99+dzDcw7CavoeIdlPJJNku1HMWg72+Om08so",
        costs={"password_salt": SALT},
        called="argon2id",
    ),
    "flask-security, odd": Vector(
        "flask_security",
        "$argon2id$v=19$m=64,t=1,p=1$FELIOWesFeJc6z1n7H2P0Q$BftBCr5h9sxd0bPExPWyzuAm5Bymqjac1W3k15Wf1YE",
        ODD,
        {"password_salt": SALT},
        "argon2id",
    ),
    "flask-security, bcrypt": Vector(
        "flask_security",
        "$2b$04$qbkyeVNnqF6BTe/KODo0yuBS7Uid13dqU91cKuIQ.8jBYvtpmVg6S",
        costs={"password_salt": SALT},
        called="bcrypt",
    ),
    "flask-security, bcrypt, odd": Vector(
        "flask_security",
        "$2b$04$94xQ17DGMQbzJ2bbeZ/uVOtYhEW97Xc1Soukf2vmTiW.sG4BqrUsS",
        ODD,
        {"password_salt": SALT},
        "bcrypt",
    ),
    "flask-security, pbkdf2_sha512": Vector(
        "flask_security",
        "$pbkdf2-sha512$1000$t/be29ubs1bq/T.n9N773w$qFzjzeATyY.bsZ.eBLz//NuYXDKxg5tlJ.kMwP6c2UOeDlygUUB6nU41Iwdyi9lTds/aaFhTE3.E2uCZzdRL/w",
        costs={"password_salt": SALT},
    ),
}

# One new hash of each in a few milliseconds.
LOW: dict[str, dict[str, object]] = {
    "argon2id": {"memory_cost": 64, "time_cost": 1, "parallelism": 1},
    "bcrypt": {"rounds": 4},
    "django_pbkdf2_sha256": {"iterations": 1000},
    "django_argon2": {"memory_cost": 64, "time_cost": 1, "parallelism": 2},
    "django_bcrypt_sha256": {"rounds": 4},
    "django_scrypt": {"work_factor": 64},
    "werkzeug_scrypt": {"n": 64},
    "werkzeug_pbkdf2": {"iterations": 1000},
    "better_auth_scrypt": {},
    "wordpress": {"rounds": 4},
    "aspnet_identity_v3": {"iterations": 1000},
    "flask_security": {"password_salt": SALT, "memory_cost": 64, "time_cost": 1, "parallelism": 1},
}

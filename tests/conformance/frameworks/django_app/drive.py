"""Django with its own `auth_user`, or with a user model of the application's own (`custom`), and with the hasher that is named.

Sessions are Django's own (each request compares the session's hash of the password), the API token is Django REST
framework's, the second factor django-otp's.
"""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import django
import rest_framework
from django.conf import settings
from protocol import serve
from urls import for_django

CUSTOM = sys.argv[2:3] == ["custom"]
HASHERS = [f"django.contrib.auth.hashers.{hasher}" for hasher in sys.argv[3:]]


class Application:
    def __init__(self) -> None:
        self._browsers: dict[str, Any] = {}
        self._tokens: dict[str, str] = {}

    def versions(self) -> dict[str, str]:
        return {
            "Django": django.__version__,
            "django-otp": version("django-otp"),
            "Django REST framework": rest_framework.__version__,
        }

    def make(self, people: dict[str, str]) -> None:
        settings.configure(
            SECRET_KEY="conformance",
            ALLOWED_HOSTS=["testserver"],
            DATABASES={"default": for_django(sys.argv[1])},
            INSTALLED_APPS=[
                "django.contrib.auth",
                "django.contrib.contenttypes",
                "django.contrib.sessions",
                "django_otp",
                "django_otp.plugins.otp_totp",
                "rest_framework",
                "rest_framework.authtoken",
                *(["people"] if CUSTOM else []),
            ],
            MIDDLEWARE=[
                "django.contrib.sessions.middleware.SessionMiddleware",
                "django.contrib.auth.middleware.AuthenticationMiddleware",
                "django_otp.middleware.OTPMiddleware",
            ],
            ROOT_URLCONF="django_app.views",
            USE_TZ=True,
            **({"PASSWORD_HASHERS": HASHERS} if HASHERS else {}),
            **({"AUTH_USER_MODEL": "people.Person"} if CUSTOM else {}),
        )
        sys.path.insert(0, str(Path(__file__).parent))
        django.setup()
        from django.contrib.auth import get_user_model
        from django.core.management import call_command
        from django.test import Client
        from django_otp.plugins.otp_totp.models import TOTPDevice
        from rest_framework.authtoken.models import Token

        call_command("migrate", verbosity=0, run_syncdb=True)
        for email, password in people.items():
            named = {} if CUSTOM else {"username": _username(email)}
            user = get_user_model().objects.create_user(email=email, password=password, **named)
            TOTPDevice.objects.create(user=user, name="telephone", confirmed=True)
            self._tokens[email] = Token.objects.create(user=user).key
            self._browsers[email] = Client()
            entered = self._browsers[email].post("/login", {"username": _name(email), "password": password})
            assert entered.status_code == 200

    def nobodies(self) -> list[str]:
        from django.contrib.auth import get_user_model

        made = {"unusable@example.com": (None, True), "inactive@example.com": ("a password of theirs", False)}
        for email, (password, active) in made.items():
            named = {} if CUSTOM else {"username": _username(email)}
            # Without a password Django stores `!` and some letters by chance.
            get_user_model().objects.create_user(email=email, password=password, is_active=active, **named)
        return list(made)

    def login(self, email: str, password: str) -> bool:
        from django.test import Client

        answer = Client().post("/login", {"username": _name(email), "password": password})
        return bool(answer.status_code == 200)

    def own_reset(self, email: str, password: str) -> bool:
        from django.contrib.auth import get_user_model
        from django.contrib.auth.forms import SetPasswordForm

        user = get_user_model().objects.get(email=email)
        form = SetPasswordForm(user, {"new_password1": password, "new_password2": password})
        assert form.is_valid()
        form.save()
        return True

    def session(self, email: str) -> dict[str, bool]:
        from django.test import Client

        return {
            "session": self._browsers[email].get("/me").json()["who"] == _name(email),
            "api token": Client()
            .get("/api", headers={"Authorization": f"Token {self._tokens[email]}"})
            .status_code
            == 200,
        }

    def second_factor(self, email: str) -> Any:
        from django_otp.plugins.otp_totp.models import TOTPDevice

        [device] = TOTPDevice.objects.filter(user__email=email).values(
            "id", "key", "confirmed", "last_t", "digits"
        )
        return device


def _username(email: str) -> str:
    return email.partition("@")[0]


def _name(email: str) -> str:
    return email if CUSTOM else _username(email)


if __name__ == "__main__":
    serve(Application())

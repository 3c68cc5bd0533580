"""Django as `startproject` sets it up, with the views of django.contrib.auth.

One thing is different: the view that is asked for a link does not want a CSRF token, since the load brings none. What
checking one costs is therefore not in Django's figures.
"""

import os

from django.conf import settings

settings.configure(
    SECRET_KEY="a key for nothing but measurements",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["BENCH_DATABASE"]}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
    EMAIL_HOST=os.environ["BENCH_SMTP_HOST"],
    EMAIL_PORT=int(os.environ["BENCH_SMTP_PORT"]),
    DEFAULT_FROM_EMAIL="no-reply@bench.example",
)

from django.core.wsgi import get_wsgi_application  # noqa: E402 -- wants the settings above

application = get_wsgi_application()

# And these want all apps to be loaded.
from django.contrib import admin  # noqa: E402
from django.contrib.auth.views import PasswordResetView  # noqa: E402
from django.urls import include, path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402

reset_view = PasswordResetView.as_view()


@csrf_exempt
def ask_for_link(request):
    # The view checks the token itself, once more. Django's own test client gets past that so:
    request._dont_enforce_csrf_checks = True
    return reset_view(request)


urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/password_reset/", ask_for_link),
    path("accounts/", include("django.contrib.auth.urls")),
]

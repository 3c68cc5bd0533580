"""Makes the database, with an account for every address on standard input. All have one password."""

import sys

import app  # noqa: F401 -- brings Django up
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection

call_command("migrate", verbosity=0)
password = make_password("the same for everybody")
addresses = [line.strip() for line in sys.stdin]
User.objects.bulk_create(
    [User(username=address, email=address, password=password) for address in addresses], batch_size=10_000
)
# Django's own user table has no index that its look-up by `iexact` could use: whoever has 100,000 accounts makes one.
with connection.cursor() as cursor:
    cursor.execute("CREATE INDEX user_email ON auth_user (email COLLATE NOCASE)")
    cursor.execute("ANALYZE")

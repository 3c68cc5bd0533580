"""Flask-Security's recoverable, as its quick start sets it up; it sends by Flask-Mail.

One thing is different: forms do not want a CSRF token, since the load brings none. What checking one costs is therefore
not in its figures.
"""

import os

from flask import Flask
from flask_mail import Mail
from flask_security import Security, SQLAlchemyUserDatastore
from flask_security.models import fsqla_v3 as fsqla
from flask_sqlalchemy import SQLAlchemy

app = Flask(__name__)
app.config.update(
    SECRET_KEY="a key for nothing but measurements",
    SECURITY_PASSWORD_SALT="146585145368132386173505678016728509634",
    SECURITY_RECOVERABLE=True,
    SECURITY_EMAIL_VALIDATOR_ARGS={"check_deliverability": False},  # it would ask the name service
    WTF_CSRF_ENABLED=False,
    SQLALCHEMY_DATABASE_URI=f"sqlite:///{os.environ['BENCH_DATABASE']}",
    SQLALCHEMY_ENGINE_OPTIONS={"pool_pre_ping": True},
    MAIL_SERVER=os.environ["BENCH_SMTP_HOST"],
    MAIL_PORT=int(os.environ["BENCH_SMTP_PORT"]),
    MAIL_DEFAULT_SENDER="no-reply@bench.example",
    SECURITY_EMAIL_SENDER="no-reply@bench.example",
)
db = SQLAlchemy(app)
fsqla.FsModels.set_db_info(db)
mail = Mail(app)


class Role(db.Model, fsqla.FsRoleMixin):
    pass


class User(db.Model, fsqla.FsUserMixin):
    pass


security = Security(app, SQLAlchemyUserDatastore(db, User, Role))

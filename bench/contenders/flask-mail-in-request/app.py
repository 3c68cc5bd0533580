"""A reset as tutorials for Flask teach it first: find the account, sign a token, send the mail, answer."""

import os

from flask import Flask, abort, render_template, request, url_for
from flask_mail import Mail, Message
from flask_sqlalchemy import SQLAlchemy
from itsdangerous import BadData, URLSafeTimedSerializer
from werkzeug.security import generate_password_hash

app = Flask(__name__, template_folder="../flask-templates")
app.config.update(
    SECRET_KEY="a key for nothing but measurements",
    SQLALCHEMY_DATABASE_URI=f"sqlite:///{os.environ['BENCH_DATABASE']}",
    MAIL_SERVER=os.environ["BENCH_SMTP_HOST"],
    MAIL_PORT=int(os.environ["BENCH_SMTP_PORT"]),
    MAIL_DEFAULT_SENDER="no-reply@bench.example",
)
db = SQLAlchemy(app)
mail = Mail(app)
serializer = URLSafeTimedSerializer(app.config["SECRET_KEY"], salt="reset-password")


class User(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String(120), unique=True, index=True, nullable=False)
    password_hash = db.Column(db.String(256), nullable=False)


def send_reset_mail(user):
    link = url_for("choose_password", token=serializer.dumps(user.id), _external=True)
    message = Message("Reset your password", recipients=[user.email])
    message.body = render_template("reset_mail.txt", link=link)
    message.html = render_template("reset_mail.html", link=link)
    mail.send(message)


@app.route("/reset-password", methods=["GET", "POST"])
def ask_for_link():
    if request.method == "GET":
        return render_template("ask.html")
    user = db.session.scalar(db.select(User).filter_by(email=request.form["email"]))
    if user:
        send_reset_mail(user)
    return render_template("sent.html")


@app.route("/reset/<token>", methods=["GET", "POST"])
def choose_password(token):
    try:
        user = db.session.get(User, serializer.loads(token, max_age=1800))
    except BadData:
        user = None
    if user is None:
        abort(404)
    if request.method == "GET":
        return render_template("new_password.html")
    user.password_hash = generate_password_hash(request.form["password"])
    db.session.commit()
    return "Your password was changed"

"""Flask-Mail's letters a second, with nothing around it: a connection for each mail (`mail.send`), or one for all.

Run by the interpreter of the contenders, which has Flask-Mail:

python flask_mail_loop.py --port 2525 --count 1000 [--one-connection]
"""

import argparse

from flask import Flask
from flask_mail import Mail, Message  # type: ignore[import-not-found]  # in the contenders' environment, not in ours


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--one-connection", action="store_true")
    given = parser.parse_args()
    app = Flask(__name__)
    app.config.update(
        MAIL_SERVER="127.0.0.1", MAIL_PORT=given.port, MAIL_DEFAULT_SENDER="no-reply@bench.example"
    )
    mail = Mail(app)

    def message(number: int) -> Message:
        link = f"https://bench.example/reset/{number:032x}.{number:043x}"
        return Message(
            "Reset your password",
            recipients=[f"user{number:06d}@bench.example"],
            body=f"Somebody asked to reset your password.\n\n{link}\n\nIf that was not you, do nothing.\n",
            html=f'<p>Somebody asked to reset your password.</p><p><a href="{link}">Reset it</a></p>',
        )

    with app.app_context():
        if given.one_connection:
            with mail.connect() as connection:
                for number in range(given.count):
                    connection.send(message(number))
        else:
            for number in range(given.count):
                mail.send(message(number))


if __name__ == "__main__":
    main()

"""Makes the database, with an account for every address on standard input. All have one password."""

import sys

from app import User, app, db
from werkzeug.security import generate_password_hash

with app.app_context():
    db.create_all()
    password_hash = generate_password_hash("the same for everybody")
    rows = [{"email": address.strip(), "password_hash": password_hash} for address in sys.stdin]
    db.session.execute(db.insert(User), rows)
    db.session.commit()

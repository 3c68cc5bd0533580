"""Makes the database, with an account for every address on standard input. All have one password."""

import datetime
import sys
import uuid

from app import User, app, db
from flask_security import hash_password

with app.app_context():
    db.create_all()
    now = datetime.datetime.now(datetime.UTC)
    password = hash_password("the same for everybody")
    rows = [
        {
            "email": line.strip(),
            "password": password,
            "active": True,
            "fs_uniquifier": uuid.uuid4().hex,
            "create_datetime": now,
            "update_datetime": now,
        }
        for line in sys.stdin
    ]
    db.session.execute(db.insert(User), rows)
    db.session.commit()

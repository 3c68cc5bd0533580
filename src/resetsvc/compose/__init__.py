"""From a letter to the bytes of a mail."""

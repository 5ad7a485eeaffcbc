"""What every service does at its door: keys, limits, errors in one form. A Bento holds a copy."""

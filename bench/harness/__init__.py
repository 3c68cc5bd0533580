"""What every figure needs: processes on one core, relays of every mood, load, and the shape of a result."""

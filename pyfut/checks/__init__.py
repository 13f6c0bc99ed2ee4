"""What a program means: types, names, compile-time values, and whether it obeys the rules of the language."""

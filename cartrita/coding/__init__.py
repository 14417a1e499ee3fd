"""Has code written: by a chat model, or by rules where those can."""

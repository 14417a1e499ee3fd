"""The outside world behind ports: models, engines, the web."""

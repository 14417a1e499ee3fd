"""What every door does around its routes: limits, identity, errors."""

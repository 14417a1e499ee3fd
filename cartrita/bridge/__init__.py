"""What moving from v2 to v3 needs: comparing answers, and sharing requests out."""

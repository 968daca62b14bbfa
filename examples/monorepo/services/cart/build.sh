echo "$GREETING from cart"

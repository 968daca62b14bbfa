echo "$GREETING from mail"

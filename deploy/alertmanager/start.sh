#!/bin/sh
# Starts Alertmanager with the ways to send alerts that the environment
# configures, in any combination; without any it shows alerts and sends none.
#
#   Telegram  TELEGRAM_BOT_TOKEN, TELEGRAM_CHAT_ID
#   e-mail    SMTP_HOST (host:port), SMTP_FROM, SMTP_TO (one address, or several with commas),
#             SMTP_USER and SMTP_PASSWORD (optional), SMTP_REQUIRE_TLS (true, or false)
#
# Alertmanager itself expands no variables. This is for the shell that its
# image has, and calls no program with a secret among the arguments, where the
# list of processes would show it; nor does Alertmanager inherit one.
#
# The arguments are passed on. CONFIG_ONLY=true writes the configuration to
# RUN_DIR and ends.
set -eu
umask 077

base=${BASE_CONFIG:-/etc/alertmanager/alertmanager.yml}
run=${RUN_DIR:-/tmp/alertmanager}
config=$run/alertmanager.yml

fail() {
	echo "alertmanager: $1" >&2
	exit 1
}

# quote writes its argument, of one line, as a string of YAML.
quote() {
	printf '%s' "$1" | sed "s/'/''/g; s/^/'/; s/\$/'/"
}

# need fails unless the variable is set that makes use of others.
need() {
	eval "value=\${$1:-}"
	[ -n "$value" ] || fail "$1 is not set in .env, but $2 is: set both, or neither"
}

telegram() {
	need TELEGRAM_BOT_TOKEN TELEGRAM_CHAT_ID
	need TELEGRAM_CHAT_ID TELEGRAM_BOT_TOKEN
	case ${TELEGRAM_CHAT_ID#-} in
	'' | *[!0-9]*) fail "TELEGRAM_CHAT_ID is \"$TELEGRAM_CHAT_ID\": want the chat's number, such as -1001234567890" ;;
	esac
	printf '%s' "$TELEGRAM_BOT_TOKEN" >"$run/telegram_bot_token"
	cat <<END
    telegram_configs:
      - bot_token_file: $run/telegram_bot_token
        chat_id: $TELEGRAM_CHAT_ID
        send_resolved: true
END
}

email() {
	need SMTP_HOST "SMTP_TO or SMTP_FROM"
	need SMTP_TO SMTP_HOST
	need SMTP_FROM SMTP_HOST
	case $SMTP_HOST in
	*:*[0-9]) ;;
	*) fail "SMTP_HOST is \"$SMTP_HOST\": want host:port, such as smtp.example.com:587" ;;
	esac
	case ${SMTP_REQUIRE_TLS:-true} in
	true | false) ;;
	*) fail "SMTP_REQUIRE_TLS is \"$SMTP_REQUIRE_TLS\": want true or false" ;;
	esac
	cat <<END
    email_configs:
      - smarthost: $(quote "$SMTP_HOST")
        from: $(quote "$SMTP_FROM")
        to: $(quote "$SMTP_TO")
        require_tls: ${SMTP_REQUIRE_TLS:-true}
        send_resolved: true
END
	[ -n "${SMTP_USER:-}${SMTP_PASSWORD:-}" ] || return 0
	need SMTP_USER SMTP_PASSWORD
	need SMTP_PASSWORD SMTP_USER
	printf '%s' "$SMTP_PASSWORD" >"$run/smtp_password"
	cat <<END
        auth_username: $(quote "$SMTP_USER")
        auth_password_file: $run/smtp_password
END
}

for name in TELEGRAM_BOT_TOKEN TELEGRAM_CHAT_ID SMTP_HOST SMTP_FROM SMTP_TO SMTP_USER SMTP_PASSWORD; do
	eval "value=\${$name:-}"
	case $value in *"
"*) fail "$name has more than one line" ;; esac
done
mkdir -p "$run"
cat "$base" >"$config"
ways=
if [ -n "${TELEGRAM_BOT_TOKEN:-}${TELEGRAM_CHAT_ID:-}" ]; then
	telegram >>"$config"
	ways="$ways Telegram"
fi
if [ -n "${SMTP_HOST:-}${SMTP_TO:-}${SMTP_FROM:-}" ]; then
	email >>"$config"
	ways="$ways e-mail"
fi
echo "alertmanager: alerts are sent by:${ways:- nothing; they are shown only}" >&2
[ "${CONFIG_ONLY:-}" != true ] || exit 0

unset TELEGRAM_BOT_TOKEN SMTP_PASSWORD
exec "${ALERTMANAGER:-/bin/alertmanager}" --config.file="$config" "$@"

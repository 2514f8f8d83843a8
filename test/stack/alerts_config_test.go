//go:build integration

package stack

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"collector/test/harness"
)

// deployed is the path of a file under deploy/.
func deployed(elements ...string) string {
	return filepath.Join(append([]string{harness.Root(), "deploy"}, elements...)...)
}

// TestAlertRules runs the rules' unit tests.
func TestAlertRules(t *testing.T) {
	files, err := filepath.Glob(deployed("alerts", "tests", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no unit tests of rules: %v", err)
	}
	args := []string{"unittest"}
	for _, file := range files {
		args = append(args, "--files="+file)
	}
	if out, err := exec.Command(harness.Tool(t, "vmalert-tool"), args...).CombinedOutput(); err != nil {
		t.Fatalf("vmalert-tool unittest: %v\n%s", err, out)
	}
}

// startScript is deploy/alertmanager/start.sh with nothing but env.
func startScript(t *testing.T, env ...string) (cmd *exec.Cmd, dir string) {
	t.Helper()
	dir = t.TempDir()
	cmd = exec.Command("sh", deployed("alertmanager", "start.sh"))
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "CONFIG_ONLY=true", "RUN_DIR=" + dir, "BASE_CONFIG=" + deployed("alertmanager", "alertmanager.yml")}, env...)
	return cmd, dir
}

var (
	telegramSettings = []string{"TELEGRAM_BOT_TOKEN=123:secret-token", "TELEGRAM_CHAT_ID=-1001234567890"}
	emailSettings    = []string{"SMTP_HOST=smtp.example.com:587", "SMTP_FROM=Alerts <a@example.com>", "SMTP_TO=b@example.com, c@example.com"}
	loginSettings    = []string{"SMTP_USER=it's #1", "SMTP_PASSWORD=secret 'word' %s"}
)

// TestAlertmanagerConfig checks each combination of what .env configures.
func TestAlertmanagerConfig(t *testing.T) {
	for name, c := range map[string]struct {
		env  []string
		want []string // in the configuration; other ways to send must not
	}{
		"nothing":             {nil, nil},
		"empty settings":      {[]string{"TELEGRAM_BOT_TOKEN=", "TELEGRAM_CHAT_ID=", "SMTP_HOST=", "SMTP_TO=", "SMTP_FROM="}, nil},
		"Telegram":            {telegramSettings, []string{"telegram_configs", "chat_id: -1001234567890"}},
		"e-mail":              {emailSettings, []string{"email_configs", "smarthost: 'smtp.example.com:587'"}},
		"e-mail with login":   {append(emailSettings[:3:3], loginSettings...), []string{"email_configs", "auth_username: 'it''s #1'"}},
		"Telegram and e-mail": {append(telegramSettings[:2:2], emailSettings...), []string{"telegram_configs", "email_configs"}},
		"e-mail without TLS":  {append(emailSettings[:3:3], "SMTP_REQUIRE_TLS=false"), []string{"email_configs", "require_tls: false"}},
	} {
		t.Run(name, func(t *testing.T) {
			cmd, dir := startScript(t, c.env...)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("start.sh: %v\n%s", err, out)
			}
			file := filepath.Join(dir, "alertmanager.yml")
			if out, err := exec.Command(harness.Tool(t, "amtool"), "check-config", file).CombinedOutput(); err != nil {
				t.Fatalf("amtool check-config: %v\n%s", err, out)
			}
			checkConfigText(t, file, c.want)
		})
	}
}

func checkConfigText(t *testing.T, file string, want []string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text, wanted := string(data), strings.Join(want, "\n")
	for _, part := range want {
		if !strings.Contains(text, part) {
			t.Errorf("the configuration lacks %q:\n%s", part, text)
		}
	}
	for _, way := range []string{"telegram_configs", "email_configs"} {
		if strings.Contains(text, way) && !strings.Contains(wanted, way) {
			t.Errorf("the configuration has %s:\n%s", way, text)
		}
	}
	if strings.Contains(text, "secret") {
		t.Errorf("the configuration shows a secret:\n%s", text)
	}
}

// TestAlertmanagerSecrets checks that the files of secrets hold them unchanged, and that
// no one else can read them.
func TestAlertmanagerSecrets(t *testing.T) {
	cmd, dir := startScript(t, append(append(telegramSettings[:2:2], emailSettings...), loginSettings...)...)
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "secret") {
		t.Fatalf("start.sh: %v\n%s", err, out)
	}
	for name, want := range map[string]string{"telegram_bot_token": "123:secret-token", "smtp_password": "secret 'word' %s"} {
		file := filepath.Join(dir, name)
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o, want 600", name, mode)
		}
	}
}

// TestAlertmanagerEnvironment checks that Alertmanager does not inherit what
// is secret, nor has it among its arguments.
func TestAlertmanagerEnvironment(t *testing.T) {
	cmd, dir := startScript(t, append(append(telegramSettings[:2:2], emailSettings...), loginSettings...)...)
	standIn := filepath.Join(dir, "stand-in")
	if err := os.WriteFile(standIn, []byte("#!/bin/sh\necho started \"$@\"\nenv\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(cmd.Env, "CONFIG_ONLY=", "ALERTMANAGER="+standIn)
	cmd.Args = append(cmd.Args, "--storage.path=/alertmanager")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "started --config.file="+dir+"/alertmanager.yml --storage.path=/alertmanager\n") {
		t.Fatalf("start.sh: %v\n%s", err, out)
	}
	if strings.Contains(string(out), "secret") {
		t.Errorf("Alertmanager sees a secret:\n%s", out)
	}
}

// TestAlertmanagerRejectsHalfASetting checks that a mistake in .env is named, as alerts
// would otherwise silently be missing.
func TestAlertmanagerRejectsHalfASetting(t *testing.T) {
	for name, c := range map[string]struct {
		env  []string
		want string
	}{
		"no chat":           {telegramSettings[:1], "TELEGRAM_CHAT_ID is not set"},
		"no token":          {telegramSettings[1:], "TELEGRAM_BOT_TOKEN is not set"},
		"chat by name":      {[]string{telegramSettings[0], "TELEGRAM_CHAT_ID=@team"}, "want the chat's number"},
		"no recipient":      {emailSettings[:2], "SMTP_TO is not set"},
		"no host":           {emailSettings[1:], "SMTP_HOST is not set"},
		"no port":           {append([]string{"SMTP_HOST=smtp.example.com"}, emailSettings[1:]...), "want host:port"},
		"no password":       {append(emailSettings[:3:3], loginSettings[0]), "SMTP_PASSWORD is not set"},
		"not yes or no":     {append(emailSettings[:3:3], "SMTP_REQUIRE_TLS=yes"), "want true or false"},
		"two lines of YAML": {append(emailSettings[:2:2], "SMTP_TO=a@example.com\nroute: {}"), "SMTP_TO has more than one line"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd, _ := startScript(t, c.env...)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), c.want) {
				t.Errorf("start.sh: %v, want it to fail and to say %q:\n%s", err, c.want, out)
			}
		})
	}
}

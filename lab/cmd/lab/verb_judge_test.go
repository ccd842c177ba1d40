package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/fleet"
)

// judgedDocument is what is read of lab judge.
type judgedDocument struct {
	Agrees  bool
	Records []struct {
		ID          uint64
		Kind        string
		Agrees      bool
		Samples     int
		SignatureOK bool `json:"signature_ok"`
		PrevOK      bool `json:"prev_ok"`
	}
}

// TestJudgeOfARealCampaign runs lab up --once on real guests and decides every
// record of its ledger again; then somebody changes a byte.
func TestJudgeOfARealCampaign(t *testing.T) {
	needGuests(t)
	dir := t.TempDir()
	state, err := os.MkdirTemp("", "lab") // sockets want short names
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(state) })
	path := filepath.Join(dir, "ledger.jsonl")
	code, text, said := run("up", "--once", "--json", "--seed", "7", "--state", state, "--ledger", path,
		"--targets", "go-kernel=0", "--candidates", "1", "--packets", "2048", "--listen", "127.0.0.1:0")
	if code != exitPass {
		t.Fatalf("lab up: exit %d\n%s", code, said)
	}
	var up struct {
		Evidence  string
		Decisions []struct{ Evidence string }
	}
	err = json.Unmarshal([]byte(text), &up)
	if err != nil || up.Evidence == "" || len(up.Decisions) == 0 || up.Decisions[0].Evidence != "" { // once, at the top
		t.Fatalf("%v: %s", err, text)
	}
	if code, text, said := run("ledger", "--ledger", path, "--json"); code != exitPass || !strings.Contains(text, `"signatures_ok": true`) {
		t.Fatalf("lab ledger: exit %d, %s", code, said)
	}
	code, text, said = run("judge", "all", "--ledger", path, "--json")
	var all judgedDocument
	if err := json.Unmarshal([]byte(text), &all); err != nil || code != exitPass || !all.Agrees || len(all.Records) != len(up.Decisions)+1 {
		t.Fatalf("lab judge: exit %d, %d records, %v, %s", code, len(all.Records), err, said)
	}
	for _, r := range all.Records {
		if !r.Agrees || !r.SignatureOK || !r.PrevOK || r.Samples < 12 {
			t.Errorf("%+v", r)
		}
	}
	damage(t, path, func(whole []byte) { whole[len(whole)/2] ^= 1 })
	damage(t, filepath.Join(dir, "evidence.db"), func(whole []byte) { // one byte of a frame, and of what a page's split left of it
		for at := bytes.Index(whole, frameMagic); at >= 0; {
			whole[at+abi.FrameHeaderBytes+8] ^= 1
			next := bytes.Index(whole[at+1:], frameMagic)
			if next < 0 {
				break
			}
			at += 1 + next
		}
	})
}

var frameMagic = binary.LittleEndian.AppendUint32(nil, abi.FrameMagic)

// damage changes a file: lab judge says so with exit 1.
func damage(t *testing.T, path string, change func(whole []byte)) {
	t.Helper()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Clone(whole)
	change(changed)
	if err := os.WriteFile(path, changed, 0o644); err != nil {
		t.Fatal(err)
	}
	book := filepath.Join(filepath.Dir(path), "ledger.jsonl")
	if code, _, said := run("judge", "all", "--ledger", book); code != exitFail || said == "" {
		t.Errorf("%s with a changed byte: exit %d, %s", path, code, said)
	}
	if err := os.WriteFile(path, whole, 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, said := run("judge", "all", "--ledger", book); code != exitPass {
		t.Errorf("%s mended: exit %d, %s", path, code, said)
	}
}

// needGuests skips, loudly, where no guest can boot.
func needGuests(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("NOT TESTED: a real campaign (-short)")
	}
	if _, err := exec.LookPath("qemu-system-aarch64"); err != nil {
		t.Skip("NOT TESTED: a real campaign: qemu-system-aarch64 is missing")
	}
	artefacts, err := fleet.FindArtefacts()
	if err != nil {
		t.Skipf("NOT TESTED: a real campaign: %v", err)
	}
	if missing := artefacts.Missing(fleet.TargetOurs); len(missing) > 0 {
		t.Skipf("NOT TESTED: a real campaign: %s is missing: %s", strings.Join(missing, ", "), artefacts.BuildCommand(fleet.TargetOurs))
	}
}

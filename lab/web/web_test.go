package web

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// sample is a page in mid-campaign; names carry what an attacker would send.
func sample(s *State) {
	s.Campaign = Campaign{Title: "net.rx", Seed: 7, Commitment: strings.Repeat("ab", 32),
		Headline: "Measuring 12 arms, each in two fresh guests", Done: 11, Total: 24}
	s.Steps = []Step{
		{Name: "Boot the fleet", Detail: "3 go-kernel, 1 linux-6.12", State: StepDone, Took: 3100 * time.Millisecond},
		{Name: "Propose", Detail: "5 780 mutants of 4 seeds, rehearsed on 2 048 packets", State: StepDone, Took: 412 * time.Millisecond},
		{Name: "Verify", Detail: "6 accepted, 0 refused", State: StepDone, Took: 3 * time.Millisecond},
		{Name: "Experiment", Detail: "11 of 24 guests", State: StepRunning},
		{Name: "Promote", State: StepWaiting},
		{Name: "Swap into the fleet", State: StepWaiting},
	}
	for i := 1; i <= 3; i++ {
		s.Fleet = append(s.Fleet, Guest{Name: fmt.Sprintf("go-kernel-%d", i), Target: "go-kernel", State: "ready",
			BootInsn: 812345, BootHost: 90 * time.Millisecond, Program: "default"})
	}
	s.Fleet = append(s.Fleet, Guest{Name: "linux-1", Target: "linux-6.12", State: "starting", Note: "<script>alert(1)</script>"})
	s.Plot = Plot{Unit: "instructions per offered packet", Baseline: 2210.4, Floor: 611.2, Arms: []Arm{
		{Name: "floor", Role: "floor", Value: 611.2, Low: 611.2, High: 611.2, Samples: 2, Verdict: "pass"},
		{Name: "default", Role: "default", Value: 2210.4, Low: 2210.4, High: 2210.4, Samples: 2, Verdict: "pass"},
		{Name: "drop-all", Role: "cheat", Value: 301.9, Low: 301.9, High: 301.9, Samples: 2, Verdict: "fail", Reason: "loses needed packets: 1340 of 1361"},
		{Name: "mutant-1", Role: "candidate", Value: 902.7, Low: 902.7, High: 902.7, Samples: 2, Verdict: "pass", Reason: "saves 59.16 %"},
		{Name: `mutant-2"><script>`, Role: "candidate", Value: 1502.1, Low: 1480, High: 1530, Samples: 0, Verdict: "inconclusive", Reason: "run 1 and run 2 differ"},
		{Name: "well_known", Role: "candidate"},
	}}
	s.Candidates = []Candidate{
		{Name: "mutant-1", Digest: "3fa2b1c4d5e6", Origin: "high-datagrams", Won: true, Reason: "saves 59.16 %, loses nothing", Text: "; type: net.rx\nr0 = 2\nexit\n",
			Marks: []Mark{{Stage: "analyze", State: MarkPassed}, {Stage: "verify", State: MarkPassed, Detail: "61 states"}, {Stage: "experiment", State: MarkPassed}, {Stage: "promote", State: MarkPassed}, {Stage: "canary", State: MarkPending}}},
		{Name: "drop-all", Digest: "99a0b1c4d5e6", Planted: true, Reason: "loses needed packets: 1340 of 1361 (the default loses 0)",
			Marks: []Mark{{Stage: "analyze", State: MarkPassed}, {Stage: "verify", State: MarkPassed}, {Stage: "experiment", State: MarkRefused}, {Stage: "promote", State: MarkSkipped}}},
	}
	s.Records = []Record{{Guest: "go-kernel-1", At: "12.402 ms", Stage: "monitor", Verdict: "kept", Candidate: "3fa2b1c4d5e6", Reason: "4096 events, 0 errors, 31 audited, 0 wanted"}}
	s.Programs = []Program{{Guest: "go-kernel-2", Digest: "77aa00112233", Text: "r0 = 2\nexit & <b>\n"}}
	s.Facts = []Fact{{"kernel", "sha256 0123"}, {"QEMU", "7.2.22"}}
}

func TestDocumentEscapesWhatGuestsSay(t *testing.T) {
	page := NewPage()
	page.Update(sample)
	recorder := httptest.NewRecorder()
	page.Handler().ServeHTTP(recorder, httptest.NewRequest("GET", "/", nil))
	body := recorder.Body.String()
	if recorder.Code != 200 || strings.Contains(body, "<script>alert") || strings.Contains(body, `"><script>`) || strings.Contains(body, "& <b>") {
		t.Fatalf("%d: foreign text came through unescaped", recorder.Code)
	}
	for _, want := range []string{"Measuring 12 arms", "812\u202f345", "loses needed packets: 1340 of 1361", "mutant-1", "<svg", "3.1 s", "-59.2 %"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, outside := range []string{"http://", "https://", "//cdn"} {
		if strings.Contains(body, outside) {
			t.Errorf("the page points outside: %q", outside)
		}
	}
	if policy := recorder.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") {
		t.Errorf("policy: %q", policy)
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	handler := NewPage().Handler()
	for path, want := range map[string]int{"/": 200, "/assets/page.css": 200, "/nothing": 404, "/assets/../server.go": 301} {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequest("GET", path, nil))
		if recorder.Code != want && !(path == "/assets/../server.go" && recorder.Code >= 300) {
			t.Errorf("%s: %d, want %d", path, recorder.Code, want)
		}
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest("POST", "/", nil))
	if recorder.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", recorder.Code)
	}
}

// TestStreamSendsWhatChanged reads the events as a browser does.
func TestStreamSendsWhatChanged(t *testing.T) {
	page := NewPage()
	page.Update(sample)
	server := httptest.NewServer(page.Handler())
	defer server.Close()
	response, err := http.Get(server.URL + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	names := make(chan string, 64)
	go func() {
		scanner := bufio.NewScanner(response.Body)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			if name, ok := strings.CutPrefix(scanner.Text(), "event: "); ok {
				names <- name
			}
		}
		close(names)
	}()
	next := func() string {
		select {
		case name := <-names:
			return name
		case <-time.After(10 * time.Second):
			t.Fatal("no event within 10 s")
			return ""
		}
	}
	for _, want := range sectionNames {
		if got := next(); got != want {
			t.Fatalf("first events: %s, want %s", got, want)
		}
	}
	page.Update(func(s *State) { s.Fleet[3].State = "ready" })
	if got := next(); got != "fleet" {
		t.Errorf("after a change of the fleet: %s", got)
	}
	select {
	case name := <-names:
		t.Errorf("%s was sent and had not changed", name)
	case <-time.After(2 * updateInterval):
	}
}

func TestRecordsAreBounded(t *testing.T) {
	page := NewPage()
	for i := range recordsMax + 50 {
		page.Update(func(s *State) { s.Records = append(s.Records, Record{At: fmt.Sprint(i)}) })
	}
	page.Update(func(s *State) {
		if len(s.Records) != recordsMax || s.Dropped != 50 || s.Records[0].At != "50" {
			t.Errorf("%d records, %d dropped, first %s", len(s.Records), s.Dropped, s.Records[0].At)
		}
	})
}

func TestAxisIsRoundAndAboveEverything(t *testing.T) {
	for _, highest := range []float64{0.3, 7, 99, 100, 101, 611.2, 2210.4, 9999, 123456} {
		p := Plot{Baseline: highest, Arms: []Arm{{Value: highest / 2, High: highest / 2}}}
		step, top := axis(p)
		if top < highest || top > 2.01*highest {
			t.Errorf("highest %v: axis ends at %v", highest, top)
		}
		if n := top / step; n > axisTicks+0.001 || n < 2 {
			t.Errorf("axis to %v has %v ticks", top, n)
		}
	}
}

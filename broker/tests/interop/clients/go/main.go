// franz-go and sarama; see ../README.md. First argument: franz or sarama.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	library, command, boot, topic := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	number := func(i int) int { n, err := strconv.Atoi(os.Args[i]); must(err); return n }
	switch library + " " + command {
	case "franz produce":
		franzProduce(boot, topic, os.Args[5], number(6), number(7))
	case "sarama produce":
		saramaProduce(boot, topic, os.Args[5], number(6), number(7))
	case "franz transact":
		franzTransact(boot)
	case "franz group":
		group(number(6), number(7), func(t *tally, n int) { franzMember(boot, topic, os.Args[5], t, n) })
	case "franz through":
		through(number(6), func(w *watched) { franzSend(boot, topic, w) }, func(w *watched) { franzConsume(boot, topic, os.Args[5], w) })
	case "sarama through":
		through(number(6), func(w *watched) { saramaSend(boot, topic, w) }, func(w *watched) { saramaConsume(boot, topic, os.Args[5], w) })
	case "sarama group":
		group(number(6), number(7), func(t *tally, n int) { saramaMember(boot, topic, os.Args[5], t, n) })
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func franzProduce(boot, topic, codec string, from, count int) {
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	c, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(boot, ",")...), kgo.ProducerBatchCompression(codecs[codec]), kgo.ProducerLinger(20*time.Millisecond), kgo.RecordDeliveryTimeout(30*time.Second))
	must(err)
	defer c.Close()
	var records []*kgo.Record
	for i := from; i < from+count; i++ {
		records = append(records, &kgo.Record{Topic: topic, Key: []byte(fmt.Sprintf("k%d", i)), Value: []byte(strconv.Itoa(i))})
	}
	must(c.ProduceSync(context.Background(), records...).FirstErr())
	fmt.Println("produced", count)
}

// Begins a transaction; prints after how long that was refused.
func franzTransact(boot string) {
	c, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(boot, ",")...), kgo.TransactionalID("refused"))
	must(err)
	defer c.Close()
	begun := time.Now()
	if err := c.BeginTransaction(); err != nil {
		fmt.Println("refused", time.Since(begun).Milliseconds(), err)
		return
	}
	err = c.ProduceSync(context.Background(), &kgo.Record{Topic: "refused", Value: []byte("1")}).FirstErr()
	fmt.Println("refused", time.Since(begun).Milliseconds(), err)
}

func saramaConfig() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.V4_1_0_0
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.MaxWaitTime = 100 * time.Millisecond
	return config
}

func saramaProduce(boot, topic, codec string, from, count int) {
	config := saramaConfig()
	must(config.Producer.Compression.UnmarshalText([]byte(codec)))
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Idempotent = true
	config.Net.MaxOpenRequests = 1
	config.Producer.Return.Successes = true
	producer, err := sarama.NewSyncProducer(strings.Split(boot, ","), config)
	must(err)
	var messages []*sarama.ProducerMessage
	for i := from; i < from+count; i++ {
		messages = append(messages, &sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder(fmt.Sprintf("k%d", i)), Value: sarama.StringEncoder(strconv.Itoa(i))})
	}
	must(producer.SendMessages(messages))
	must(producer.Close())
	fmt.Println("produced", count)
}

// tally is what all members of the group have seen.
type tally struct {
	sync.Mutex
	values   []int
	member   []int
	assigned []bool
	lastAt   time.Time
}

func (t *tally) add(n int, value []byte) {
	v, err := strconv.Atoi(string(value))
	must(err)
	t.Lock()
	defer t.Unlock()
	t.values = append(t.values, v)
	t.member[n]++
	t.lastAt = time.Now()
}

func (t *tally) assign(n int) {
	t.Lock()
	defer t.Unlock()
	t.assigned[n] = true
	t.lastAt = time.Now()
}

func (t *tally) complete(count int) bool {
	t.Lock()
	defer t.Unlock()
	for _, a := range t.assigned {
		if !a {
			return false
		}
	}
	return len(t.values) >= count && time.Since(t.lastAt) > time.Second
}

var finished, stop = context.WithCancel(context.Background())

func group(count, members int, run func(*tally, int)) {
	t := &tally{member: make([]int, members), assigned: make([]bool, members), lastAt: time.Now()}
	var wait sync.WaitGroup
	for n := 0; n < members; n++ {
		wait.Add(1)
		go func() { defer wait.Done(); run(t, n) }()
	}
	for deadline := time.Now().Add(time.Minute); !t.complete(count) && time.Now().Before(deadline); {
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	wait.Wait()
	for n, records := range t.member {
		fmt.Println("member", n, records)
	}
	sort.Ints(t.values)
	fmt.Println("values", strings.Trim(fmt.Sprint(t.values), "[]"))
}

func franzMember(boot, topic, name string, t *tally, n int) {
	c, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(boot, ",")...), kgo.ConsumerGroup(name), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, got map[string][]int32) {
			if len(got) > 0 {
				t.assign(n)
			}
		}))
	must(err)
	for finished.Err() == nil {
		fetches := c.PollFetches(finished)
		fetches.EachRecord(func(r *kgo.Record) { t.add(n, r.Value) })
		if fetches.NumRecords() > 0 {
			must(c.CommitUncommittedOffsets(context.Background()))
		}
	}
	c.Close()
}

type saramaHandler struct {
	t *tally
	n int
}

func (h saramaHandler) Setup(s sarama.ConsumerGroupSession) error {
	if len(s.Claims()) > 0 {
		h.t.assign(h.n)
	}
	return nil
}
func (saramaHandler) Cleanup(s sarama.ConsumerGroupSession) error { s.Commit(); return nil }
func (h saramaHandler) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for m := range claim.Messages() {
		h.t.add(h.n, m.Value)
		s.MarkMessage(m, "")
	}
	s.Commit()
	return nil
}

func saramaMember(boot, topic, name string, t *tally, n int) {
	g, err := sarama.NewConsumerGroup(strings.Split(boot, ","), name, saramaConfig())
	must(err)
	for finished.Err() == nil {
		if err := g.Consume(finished, []string{topic}, saramaHandler{t, n}); err != nil && finished.Err() == nil {
			must(err)
		}
	}
	must(g.Close())
}

// watched is what was acknowledged and read while the command through runs.
type watched struct {
	sync.Mutex
	acked, seen map[int]bool
	failed      []string
	stopped     chan struct{}
	reading     sync.WaitGroup
}

// leave commits, and returns when all members have: a member that leaves begins a rebalance.
func (w *watched) leave(commit func() error) {
	err := commit()
	for try := 0; err != nil && try < 100; try++ {
		time.Sleep(100 * time.Millisecond)
		err = commit()
	}
	must(err)
	w.reading.Done()
	w.reading.Wait()
}

func (w *watched) sent(n int, err error) {
	w.Lock()
	defer w.Unlock()
	if err != nil {
		w.failed = append(w.failed, fmt.Sprintf("%d:%s", n, strings.ReplaceAll(err.Error(), " ", "_")))
	} else {
		w.acked[n] = true
	}
}

func (w *watched) read(value []byte) {
	n, err := strconv.Atoi(string(value))
	must(err)
	w.Lock()
	defer w.Unlock()
	w.seen[n] = true
}

func (w *watched) allRead() bool {
	w.Lock()
	defer w.Unlock()
	fmt.Println("at", len(w.acked), len(w.seen))
	for n := range w.acked {
		if !w.seen[n] {
			return false
		}
	}
	return true
}

// each calls send with 0, 1, 2, … until standard input ends.
func (w *watched) each(send func(n int)) {
	for n := 0; ; n++ {
		select {
		case <-w.stopped:
			return
		case <-time.After(20 * time.Millisecond):
			send(n)
		}
	}
}

// through produces and consumes until standard input ends, and until what was acknowledged has been read.
func through(members int, send, consume func(*watched)) {
	w := &watched{acked: map[int]bool{}, seen: map[int]bool{}, stopped: make(chan struct{})}
	go func() { io.Copy(io.Discard, os.Stdin); close(w.stopped) }()
	produced := make(chan struct{})
	go func() { send(w); close(produced) }()
	var wait sync.WaitGroup
	w.reading.Add(members)
	for n := 0; n < members; n++ {
		wait.Add(1)
		go func() { defer wait.Done(); consume(w) }()
	}
	for isProduced := false; !w.allRead() || !isProduced; {
		select {
		case <-produced:
			isProduced = true
			time.Sleep(20 * time.Millisecond)
		case <-time.After(100 * time.Millisecond):
		}
	}
	stop()
	wait.Wait()
	fmt.Println("failed", strings.Join(w.failed, " "))
	for name, set := range map[string]map[int]bool{"acked": w.acked, "seen": w.seen} {
		var values []int
		for n := range set {
			values = append(values, n)
		}
		fmt.Println(name, strings.Trim(fmt.Sprint(values), "[]"))
	}
}

func franzSend(boot, topic string, w *watched) {
	c, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(boot, ",")...), kgo.ProducerLinger(5*time.Millisecond))
	must(err)
	w.each(func(n int) {
		r := &kgo.Record{Topic: topic, Key: []byte(fmt.Sprintf("k%d", n)), Value: []byte(strconv.Itoa(n))}
		c.Produce(context.Background(), r, func(_ *kgo.Record, err error) { w.sent(n, err) })
	})
	must(c.Flush(context.Background()))
	c.Close()
}

func franzConsume(boot, topic, name string, w *watched) {
	c, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(boot, ",")...), kgo.ConsumerGroup(name), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
	must(err)
	for finished.Err() == nil {
		fetches := c.PollFetches(finished)
		fetches.EachRecord(func(r *kgo.Record) { w.read(r.Value) })
		if fetches.NumRecords() > 0 {
			// It fails while the group rebalances or its coordinator moves; the next one says as much.
			c.CommitUncommittedOffsets(context.Background())
		}
	}
	w.leave(func() error { return c.CommitUncommittedOffsets(context.Background()) })
	c.Close()
}

func saramaSend(boot, topic string, w *watched) {
	config := saramaConfig()
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Idempotent = true
	config.Producer.Retry.Max = 600
	config.Net.MaxOpenRequests = 1
	config.Producer.Return.Successes = true
	producer, err := sarama.NewSyncProducer(strings.Split(boot, ","), config)
	must(err)
	w.each(func(n int) {
		_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder(fmt.Sprintf("k%d", n)), Value: sarama.StringEncoder(strconv.Itoa(n))})
		w.sent(n, err)
	})
	must(producer.Close())
}

type saramaWatcher struct{ w *watched }

func (saramaWatcher) Setup(sarama.ConsumerGroupSession) error     { return nil }
func (saramaWatcher) Cleanup(s sarama.ConsumerGroupSession) error { s.Commit(); return nil }
func (h saramaWatcher) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for m := range claim.Messages() {
		h.w.read(m.Value)
		s.MarkMessage(m, "")
		s.Commit()
	}
	return nil
}

func saramaConsume(boot, topic, name string, w *watched) {
	g, err := sarama.NewConsumerGroup(strings.Split(boot, ","), name, saramaConfig())
	must(err)
	for finished.Err() == nil {
		// It fails while the coordinator moves; then the member joins again.
		if err := g.Consume(finished, []string{topic}, saramaWatcher{w}); err != nil && finished.Err() == nil {
			time.Sleep(100 * time.Millisecond)
		}
	}
	must(g.Close())
}

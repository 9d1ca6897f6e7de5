// franz-go and sarama; see ../README.md. First argument: franz or sarama.
package main

import (
	"context"
	"fmt"
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
	c, err := kgo.NewClient(kgo.SeedBrokers(boot), kgo.ProducerBatchCompression(codecs[codec]), kgo.ProducerLinger(20*time.Millisecond), kgo.RecordDeliveryTimeout(30*time.Second))
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
	c, err := kgo.NewClient(kgo.SeedBrokers(boot), kgo.TransactionalID("refused"))
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
	producer, err := sarama.NewSyncProducer([]string{boot}, config)
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
	c, err := kgo.NewClient(kgo.SeedBrokers(boot), kgo.ConsumerGroup(name), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(),
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
	g, err := sarama.NewConsumerGroup([]string{boot}, name, saramaConfig())
	must(err)
	for finished.Err() == nil {
		if err := g.Consume(finished, []string{topic}, saramaHandler{t, n}); err != nil && finished.Err() == nil {
			must(err)
		}
	}
	must(g.Close())
}

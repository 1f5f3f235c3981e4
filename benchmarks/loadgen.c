/* The load generator's hot parts: it receives for many WebSocket clients, publishes ticks as a ZeroMQ PUB
 * socket does on the wire (ZMTP 3.0), and sends ready bytes for the floor. loadgen.py compiles and calls it;
 * every function runs without Python's interpreter lock. Times are nanoseconds of CLOCK_MONOTONIC. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (1 << 20)
#define TAIL 256 /* the most that `tail` writes */

typedef uint64_t u64;

static u64 now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void nap(u64 ns) {
  struct timespec t = {ns / 1000000000ull, ns % 1000000000ull};
  nanosleep(&t, NULL);
}

/* ---- receiving ---------------------------------------------------------------------------------------- */

typedef struct {
  int fd, close_code, ended;
  volatile u64 messages;
  /* The frame being read: its header as far as it has come, then what is left of its payload. */
  uint8_t head[10];
  int have, opcode, final;
  u64 left;
  /* The payload, kept for the sampled client and of control frames. */
  uint8_t *text;
  size_t size, room;
} client;

/* What the sampled client received: sequence number, time of sending, time of receipt. */
typedef struct { u64 number, sent, received; } sample;

typedef struct {
  int epoll, count, sampled;
  client *clients;
  volatile int stop;
  volatile u64 last, newest;
  sample *samples;
  volatile u64 taken;
  u64 most;
  /* Whole messages of the sampled client, if asked for: time of receipt, length, bytes. */
  uint8_t *record;
  volatile u64 recorded;
  u64 record_room;
} receiver;

receiver *receiver_new(int count, u64 samples, u64 record_room) {
  receiver *r = calloc(1, sizeof *r);
  r->clients = calloc(count, sizeof *r->clients);
  r->count = count;
  r->sampled = -1;
  r->most = samples;
  r->samples = malloc((samples + 1) * sizeof *r->samples);
  r->record_room = record_room;
  r->record = record_room ? malloc(record_room) : NULL;
  r->epoll = epoll_create1(EPOLL_CLOEXEC);
  return r;
}

void receiver_free(receiver *r) {
  for (int i = 0; i < r->count; i++) free(r->clients[i].text);
  close(r->epoll);
  free(r->clients);
  free(r->samples);
  free(r->record);
  free(r);
}

static int number_after(const uint8_t *text, size_t size, const char *key, u64 *value) {
  const uint8_t *end = text + size, *at = memmem(text, size, key, strlen(key));
  if (!at) return 0;
  at += strlen(key);
  while (at < end && *at == ' ') at++;
  int digits = 0;
  for (*value = 0; at < end && *at >= '0' && *at <= '9'; at++, digits++) *value = *value * 10 + (*at - '0');
  return digits > 0;
}

static void take_sample(receiver *r, const uint8_t *text, size_t size, u64 received) {
  if (r->record && r->recorded + size + 12 <= r->record_room) {
    uint32_t length = size;
    uint8_t *to = r->record + r->recorded;
    memcpy(to, &received, 8);
    memcpy(to + 8, &length, 4);
    memcpy(to + 12, text, size);
    r->recorded += size + 12;
  }
  sample one = {0, 0, received};
  if (!number_after(text, size, "\"_n\":", &one.number) || !number_after(text, size, "\"_t\":", &one.sent)) return;
  if (r->taken < r->most) {
    r->samples[r->taken] = one;
    r->taken++;
  }
  if (one.number > r->newest) r->newest = one.number;
}

static void frame_done(receiver *r, int index, client *c, u64 received) {
  if (c->opcode == 8)
    c->close_code = c->size >= 2 ? c->text[0] << 8 | c->text[1] : 1005;
  else if (c->opcode < 8 && c->final) {
    c->messages++;
    if (index == r->sampled) take_sample(r, c->text, c->size, received);
  }
  if (c->opcode >= 8 || c->final) c->size = 0;
}

static void keep(client *c, const uint8_t *bytes, size_t size) {
  if (c->size + size > c->room) {
    c->room = 2 * (c->size + size) + 4096;
    c->text = realloc(c->text, c->room);
  }
  memcpy(c->text + c->size, bytes, size);
  c->size += size;
}

/* Read frames; payloads are skipped unless somebody wants them. */
static void feed(receiver *r, int index, const uint8_t *at, size_t size, u64 received) {
  client *c = &r->clients[index];
  const uint8_t *end = at + size;
  while (at < end) {
    if (c->left) {
      u64 here = (u64)(end - at) < c->left ? (u64)(end - at) : c->left;
      if (index == r->sampled || c->opcode >= 8) keep(c, at, here);
      at += here;
      c->left -= here;
      if (!c->left) frame_done(r, index, c, received);
      continue;
    }
    c->head[c->have++] = *at++;
    if (c->have < 2) continue;
    int length = c->head[1] & 127, need = length == 126 ? 4 : length == 127 ? 10 : 2;
    if (c->have < need) continue;
    c->left = length;
    if (length > 125)
      for (int i = 2 + (c->left = 0); i < need; i++) c->left = c->left << 8 | c->head[i];
    c->have = 0;
    c->final = c->head[0] >> 7;
    c->opcode = c->head[0] & 15;
    if (!c->left) frame_done(r, index, c, received);
  }
}

/* reads: 0 leaves the client alone (it has stalled). rest: what was read of its stream already. */
void receiver_add(receiver *r, int index, int fd, int reads, const uint8_t *rest, int size) {
  r->clients[index].fd = fd;
  if (size) feed(r, index, rest, size, now());
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
  if (reads && index != r->sampled) epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &event);
}

static ssize_t pull(receiver *r, int index, uint8_t *buffer, int flags) {
  client *c = &r->clients[index];
  ssize_t got = recv(c->fd, buffer, CHUNK, flags);
  if (got > 0) {
    u64 received = now(), before = c->messages;
    feed(r, index, buffer, got, received);
    if (c->messages != before) r->last = received;
  } else if (got == 0 || (errno != EAGAIN && errno != EINTR))
    c->ended = 1;
  return got;
}

/* All but the sampled client, until `receiver_stop`. After each round it naps, unless a buffer is filling, so
 * that the server's `send` does not pay for waking it. */
void receiver_run(receiver *r) {
  uint8_t *buffer = malloc(CHUNK);
  struct epoll_event events[1024];
  prctl(PR_SET_TIMERSLACK, 1000);
  while (!r->stop) {
    int filling = 0, ready = epoll_wait(r->epoll, events, 1024, 20);
    for (int i = 0; i < ready; i++) {
      int index = events[i].data.u32;
      ssize_t got = pull(r, index, buffer, MSG_DONTWAIT);
      if (r->clients[index].ended) epoll_ctl(r->epoll, EPOLL_CTL_DEL, r->clients[index].fd, NULL);
      filling |= got > 48 << 10;
    }
    if (ready > 0 && !filling) nap(2000000);
  }
  free(buffer);
}

/* The sampled client blocks in its own thread and wakes at once. */
void receiver_sample(receiver *r) {
  uint8_t *buffer = malloc(CHUNK);
  client *c = &r->clients[r->sampled];
  struct timeval patience = {0, 50000};
  setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  while (!r->stop && !c->ended) pull(r, r->sampled, buffer, 0);
  free(buffer);
}

/* What a stalled client finds when it reads at last; ends at the end of the stream or after so long. */
void receiver_drain(receiver *r, int index, u64 ns) {
  uint8_t *buffer = malloc(CHUNK);
  u64 end = now() + ns;
  struct timeval patience = {0, 100000};
  setsockopt(r->clients[index].fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  while (now() < end && pull(r, index, buffer, 0) > 0) {}
  free(buffer);
}

void receiver_stop(receiver *r) { r->stop = 1; }
void receiver_choose(receiver *r, int index) { r->sampled = index; }
/* Forget what was sampled so far, at a quiet moment. */
void receiver_forget(receiver *r) { r->taken = r->newest = r->recorded = 0; }
u64 receiver_messages(receiver *r) {
  u64 sum = 0;
  for (int i = 0; i < r->count; i++) sum += r->clients[i].messages;
  return sum;
}
u64 receiver_last(receiver *r) { return r->last; }
u64 receiver_taken(receiver *r) { return r->taken; }
u64 receiver_recorded(receiver *r) { return r->recorded; }
const sample *receiver_samples(receiver *r) { return r->samples; }
const uint8_t *receiver_record(receiver *r) { return r->record; }
u64 client_messages(receiver *r, int index) { return r->clients[index].messages; }
int client_ended(receiver *r, int index) { return r->clients[index].ended; }
int client_close_code(receiver *r, int index) { return r->clients[index].close_code; }

/* ---- publishing --------------------------------------------------------------------------------------- */

typedef struct {
  int fd, count;
  const char **topics, **heads; /* topic; the payload up to the fields that change */
  const uint32_t *order;        /* which symbol a sequence number is of */
  uint32_t mask;
  uint8_t *buffer;
  size_t size;
  volatile int stop;
  u64 sent, first, last, late, stalls;
} publisher;

publisher *publisher_new(int fd, int count, const char **topics, const char **heads, const uint32_t *order,
                         uint32_t mask) {
  publisher *p = calloc(1, sizeof *p);
  *p = (publisher){.fd = fd, .count = count, .topics = topics, .heads = heads, .order = order, .mask = mask};
  p->buffer = malloc(CHUNK);
  return p;
}

void publisher_free(publisher *p) {
  free(p->buffer);
  free(p);
}

static int send_all(int fd, const uint8_t *bytes, size_t size) {
  while (size) {
    ssize_t went = send(fd, bytes, size, MSG_NOSIGNAL);
    if (went <= 0) return -1;
    bytes += went;
    size -= went;
  }
  return 0;
}

static int flush(publisher *p) {
  int failed = send_all(p->fd, p->buffer, p->size);
  p->size = 0;
  return failed;
}

/* A ZMTP frame: flags (1: more follow, 2: a length of eight bytes), length, body. */
static uint8_t *frame_head(uint8_t *to, int more, u64 size) {
  if (size < 256) {
    *to++ = more;
    *to++ = size;
  } else {
    *to++ = more | 2;
    for (int shift = 56; shift >= 0; shift -= 8) *to++ = size >> shift;
  }
  return to;
}

static void append(publisher *p, u64 number, u64 stamp, u64 wall_ms) {
  uint32_t symbol = p->order[number & p->mask];
  const char *topic = p->topics[symbol], *head = p->heads[symbol];
  size_t topic_size = strlen(topic), head_size = strlen(head);
  char tail[TAIL];
  int tail_size = snprintf(tail, sizeof tail,
                           "\"ltp\": %u.%02u, \"volume\": %llu, \"ltt\": %llu, \"timestamp\": %llu, "
                           "\"_n\": %llu, \"_t\": %llu}",
                           1000 + symbol % 3000, (unsigned)(5 * (number % 20)), 1000000ull + number, wall_ms - 3ull,
                           0ull + wall_ms, 0ull + number, 0ull + stamp);
  uint8_t *to = frame_head(p->buffer + p->size, 1, topic_size);
  to = mempcpy(to, topic, topic_size);
  to = frame_head(to, 0, head_size + tail_size);
  to = mempcpy(to, head, head_size);
  to = mempcpy(to, tail, tail_size);
  p->size = to - p->buffer;
}

/* Publish for `ns`. rate > 0: on schedule whatever happens, each tick stamped with the time it was due.
 * rate = 0: at most `window` ticks ahead of the sampled client. Ticks of one moment go in one `send`, at most
 * 8 KB of them, as libzmq does. Returns how many were sent; the numbers begin at `from`. */
u64 publisher_run(publisher *p, receiver *r, double rate, u64 window, u64 from, u64 ns) {
  prctl(PR_SET_TIMERSLACK, 1);
  struct timespec wall;
  clock_gettime(CLOCK_REALTIME, &wall);
  u64 start = now(), at = start, base = from, waited = 0;
  u64 offset = wall.tv_sec * 1000ull + wall.tv_nsec / 1000000 - start / 1000000;
  p->first = start;
  p->sent = p->late = p->stalls = 0;
  while (!p->stop) {
    u64 number = from + p->sent, due = at;
    if (rate > 0) {
      due = start + (u64)(p->sent * 1e9 / rate);
      if (due > at) at = now();
      if (due > at) {
        if (flush(p)) break;
        nap(due - at);
        at = now();
      }
      if (at > due && at - due > p->late) p->late = at - due;
    } else {
      u64 newest = r->newest > base ? r->newest : base;
      if (number >= newest + window) {
        if (flush(p)) break;
        at = now();
        if (!waited) waited = at;
        if (at - waited > 2000000000ull) { /* the sampled client gets no more of these: move on */
          p->stalls++;
          base = number;
        }
        if (at - start > ns) break;
        nap(50000);
        continue;
      }
      waited = 0;
      if (!(p->sent & 15)) at = now();
      due = at;
    }
    if (at - start > ns || due - start > ns) break;
    append(p, number, due, offset + at / 1000000);
    p->sent++;
    if (p->size > 8192 && flush(p)) break;
  }
  flush(p);
  p->last = now();
  return p->sent;
}

/* One tick, now. */
int publisher_one(publisher *p, u64 number, u64 wall_ms) {
  append(p, number, now(), wall_ms);
  return flush(p);
}

void publisher_stop(publisher *p) { p->stop = 1; }
u64 publisher_first(publisher *p) { return p->first; }
u64 publisher_last(publisher *p) { return p->last; }
u64 publisher_late(publisher *p) { return p->late; }
u64 publisher_stalls(publisher *p) { return p->stalls; }

/* ---- the floor ---------------------------------------------------------------------------------------- */

/* A frame, `batch` of them in a call, to each socket in turn, for `ns`; how many frames went. */
u64 floor_run(const int *fds, int count, const uint8_t *frame, int size, int batch, u64 ns) {
  size_t total = (size_t)size * batch;
  uint8_t *bytes = malloc(total);
  for (int i = 0; i < batch; i++) memcpy(bytes + (size_t)i * size, frame, size);
  u64 sent = 0;
  for (u64 end = now() + ns; now() < end;)
    for (int i = 0; i < count; i++, sent += batch)
      if (send_all(fds[i], bytes, total)) goto gone;
gone:
  free(bytes);
  return sent;
}

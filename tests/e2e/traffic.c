/* Traffic for the end-to-end tests: a server that says its name, and askers who count who answered. One static
 * program, so that it runs in any image.
 *
 *   traffic serve NAME [tcp=PORT]... [udp=PORT]... [delay=MS] [linger=MS]
 *       TCP: HTTP, one request a connection; the answer is "NAME PEER". UDP: the answer to any datagram is the same
 *       line. delay: nothing listens before. On SIGTERM it goes on for linger ms, then closes its ports, ends what has
 *       begun, and exits with 0.
 *   traffic ask [count=N | until=FILE] [parallel=P] [proto=udp] [timeout=MS] [gap=MS] [from=PORT[-LAST]] ADDRESS:PORT
 *       count requests, or as many as fit in until FILE exists, P at a time. from: from this port, so that all
 *       datagrams are one flow; or from each of these in turn, so that no flow is met again. Prints lines "answer NAME
 *       N", "peer ADDRESS N" and "error TEXT N" and at the end "requests N failed N slowest MS". Exits with 1 if one
 *       failed. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LISTENERS_MAX   8
#define CONNECTIONS_MAX 1000
#define WORKERS_MAX     64
#define TALLIES_MAX     2048
#define TEXT_MAX        96
#define REQUEST_MAX     2048

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void rest_ms(int64_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&t, &t) != 0 && errno == EINTR) {
    }
}

static void die(const char *what)
{
    fprintf(stderr, "traffic: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* The value of "KEY=VALUE" if the word has this key. */
static const char *value_of(const char *word, const char *key)
{
    size_t n = strlen(key);
    return strncmp(word, key, n) == 0 && word[n] == '=' ? word + n + 1 : NULL;
}

/* ---- The server ---- */

struct listener {
    uint16_t port;
    bool udp;
    int fd;
};

struct connection {
    int fd;
    char peer[INET_ADDRSTRLEN];
    char request[REQUEST_MAX];
    size_t size;
};

struct server {
    const char *name;
    struct listener listeners[LISTENERS_MAX];
    unsigned n_listeners;
    struct connection connections[CONNECTIONS_MAX];
    unsigned n_connections;
    int64_t delay_ms, linger_ms;
};

static void listen_on(struct listener *l)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(l->port)};
    int one = 1;
    l->fd = socket(AF_INET, (l->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0 || setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        bind(l->fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 || (!l->udp && listen(l->fd, 1024) != 0)) {
        die("listen");
    }
}

static void answer_datagram(const struct server *s, int fd)
{
    char in[REQUEST_MAX], out[256], peer[INET_ADDRSTRLEN];
    struct sockaddr_in sa;
    socklen_t len = sizeof(sa);
    if (recvfrom(fd, in, sizeof(in), 0, (struct sockaddr *)&sa, &len) < 0) {
        return;
    }
    inet_ntop(AF_INET, &sa.sin_addr, peer, sizeof(peer));
    int n = snprintf(out, sizeof(out), "%s %s\n", s->name, peer);
    sendto(fd, out, (size_t)n, 0, (struct sockaddr *)&sa, len);
}

static void take_connection(struct server *s, int listener)
{
    struct sockaddr_in sa;
    socklen_t len = sizeof(sa);
    int fd = accept4(listener, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        struct connection *c = &s->connections[s->n_connections++];
        *c = (struct connection){.fd = fd};
        inet_ntop(AF_INET, &sa.sin_addr, c->peer, sizeof(c->peer));
    }
}

/* True when the connection has ended: it is answered once the empty line is there. */
static bool serve_connection(const struct server *s, struct connection *c)
{
    ssize_t n = read(c->fd, c->request + c->size, sizeof(c->request) - 1 - c->size);
    if (n <= 0) {
        return !(n < 0 && errno == EAGAIN);
    }
    c->size += (size_t)n;
    c->request[c->size] = '\0';
    if (strstr(c->request, "\r\n\r\n") == NULL) {
        return c->size + 1 >= sizeof(c->request);
    }
    char out[512], body[256];
    int body_n = snprintf(body, sizeof(body), "%s %s\n", s->name, c->peer);
    int out_n =
        snprintf(out, sizeof(out),
                 "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
                 body_n, body);
    (void)!write(c->fd, out, (size_t)out_n);
    return true;
}

static int serve(struct server *s)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    int stop = signalfd(-1, &set, SFD_CLOEXEC);
    struct pollfd first = {.fd = stop, .events = POLLIN};
    if (stop < 0 || (s->delay_ms > 0 && poll(&first, 1, (int)s->delay_ms) != 0)) {
        return stop < 0 ? 2 : 0;
    }
    for (unsigned i = 0; i < s->n_listeners; i++) {
        listen_on(&s->listeners[i]);
    }
    int64_t close_at = -1;
    bool listening = true;
    while (listening || s->n_connections > 0) {
        static struct pollfd fds[1 + LISTENERS_MAX + CONNECTIONS_MAX];
        unsigned n_connections = s->n_connections;
        bool full = s->n_connections == CONNECTIONS_MAX;
        fds[0] = (struct pollfd){.fd = close_at < 0 ? stop : -1, .events = POLLIN};
        for (unsigned i = 0; i < s->n_listeners; i++) {
            bool off = !listening || (full && !s->listeners[i].udp);
            fds[1 + i] = (struct pollfd){.fd = off ? -1 : s->listeners[i].fd, .events = POLLIN};
        }
        for (unsigned i = 0; i < n_connections; i++) {
            fds[1 + s->n_listeners + i] = (struct pollfd){.fd = s->connections[i].fd, .events = POLLIN};
        }
        int64_t left = close_at < 0 ? -1 : close_at - now_ms();
        poll(fds, 1 + s->n_listeners + n_connections, close_at < 0 ? -1 : left > 0 ? (int)left : listening ? 0 : 1000);
        if (fds[0].revents != 0) {
            close_at = now_ms() + s->linger_ms;
        }
        for (unsigned i = n_connections; i-- > 0;) {
            struct connection *c = &s->connections[i];
            if (fds[1 + s->n_listeners + i].revents != 0 && serve_connection(s, c)) {
                close(c->fd);
                *c = s->connections[--s->n_connections];
            }
        }
        for (unsigned i = 0; i < s->n_listeners; i++) {
            if (fds[1 + i].revents != 0 && s->listeners[i].udp) {
                answer_datagram(s, s->listeners[i].fd);
            } else if (fds[1 + i].revents != 0 && s->n_connections < CONNECTIONS_MAX) {
                take_connection(s, s->listeners[i].fd);
            }
        }
        if (listening && close_at >= 0 && now_ms() >= close_at) {
            for (unsigned i = 0; i < s->n_listeners; i++) {
                close(s->listeners[i].fd);
            }
            listening = false;
        }
    }
    return 0;
}

static int serve_main(int argc, char **argv)
{
    static struct server s;
    if (argc < 3) {
        return 2;
    }
    s.name = argv[2];
    for (int i = 3; i < argc; i++) {
        const char *tcp = value_of(argv[i], "tcp"), *udp = value_of(argv[i], "udp"),
                   *delay = value_of(argv[i], "delay"), *linger = value_of(argv[i], "linger");
        if ((tcp != NULL || udp != NULL) && s.n_listeners < LISTENERS_MAX) {
            s.listeners[s.n_listeners++] =
                (struct listener){.port = (uint16_t)atoi(tcp != NULL ? tcp : udp), .udp = udp != NULL};
        } else if (delay != NULL) {
            s.delay_ms = atoi(delay);
        } else if (linger != NULL) {
            s.linger_ms = atoi(linger);
        } else {
            return 2;
        }
    }
    return s.n_listeners == 0 ? 2 : serve(&s);
}

/* ---- Those who ask ---- */

struct tally {
    char text[TEXT_MAX];
    unsigned long n;
};

struct asker {
    struct sockaddr_in to;
    bool udp;
    unsigned long count; /* 0: until the file is there */
    const char *until;
    unsigned parallel;
    int timeout_ms, gap_ms;
    unsigned from, last; /* ports to ask from; 0 = any */
    pthread_mutex_t lock;
    unsigned long begun, done, failed;
    int64_t slowest_ms;
    struct tally tallies[TALLIES_MAX];
    unsigned n_tallies;
};

static void count(struct asker *a, const char *sort, const char *text)
{
    char line[TEXT_MAX];
    snprintf(line, sizeof(line), "%s %s", sort, text);
    for (unsigned i = 0; i < a->n_tallies; i++) {
        if (strcmp(a->tallies[i].text, line) == 0) {
            a->tallies[i].n++;
            return;
        }
    }
    if (a->n_tallies < TALLIES_MAX) {
        memcpy(a->tallies[a->n_tallies].text, line, sizeof(line));
        a->tallies[a->n_tallies++].n = 1;
    }
}

/* Waits until fd is ready or the time is over. */
static bool ready(int fd, short events, int64_t deadline)
{
    struct pollfd p = {.fd = fd, .events = events};
    int64_t left = deadline - now_ms();
    return poll(&p, 1, left > 0 ? (int)left : 0) == 1;
}

/* One question; the answer's line in out, or NULL with why not. */
static const char *ask_once(const struct asker *a, uint16_t from, char *out, size_t size)
{
    int64_t deadline = now_ms() + a->timeout_ms;
    int fd = socket(AF_INET, (a->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, e = 0;
    socklen_t len = sizeof(e);
    const char *why = NULL;
    size_t n = 0;
    if (fd < 0) {
        return "no socket";
    }
    if (from != 0) {
        struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(from)};
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        why = bind(fd, (struct sockaddr *)&own, sizeof(own)) != 0 ? "the port to ask from is in use" : NULL;
    }
    if (why == NULL && connect(fd, (const struct sockaddr *)&a->to, sizeof(a->to)) != 0 && errno != EINPROGRESS) {
        why = strerror(errno);
    }
    if (why == NULL && !ready(fd, POLLOUT, deadline)) {
        why = "no connection in time";
    }
    if (why == NULL && (getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) != 0 || e != 0)) {
        why = strerror(e);
    }
    static const char request[] = "GET / HTTP/1.0\r\nHost: service\r\n\r\n";
    if (why == NULL && write(fd, request, sizeof(request) - 1) < 0) {
        why = strerror(errno);
    }
    for (bool end = false; why == NULL && !end;) {
        ssize_t got = 0;
        if (!ready(fd, POLLIN, deadline)) {
            why = "no answer in time";
        } else if ((got = read(fd, out + n, size - 1 - n)) < 0) {
            why = strerror(errno);
        }
        n += got > 0 ? (size_t)got : 0;
        end = a->udp || got == 0 || n + 1 >= size;
    }
    out[n] = '\0';
    close(fd);
    return why;
}

/* The line of an answer without HTTP's head. NULL: not what our server says. */
static char *body_of(const struct asker *a, char *text)
{
    char *body = text;
    if (!a->udp) {
        body = strncmp(text, "HTTP/1.0 200 ", 13) == 0 ? strstr(text, "\r\n\r\n") : NULL;
        body = body == NULL ? NULL : body + 4;
    }
    char *end = body == NULL ? NULL : strchr(body, '\n');
    if (end == NULL) {
        return NULL;
    }
    *end = '\0';
    return body;
}

static void *work(void *arg)
{
    struct asker *a = arg;
    for (;;) {
        pthread_mutex_lock(&a->lock);
        bool go = a->count != 0 ? a->begun < a->count : access(a->until, F_OK) != 0;
        unsigned from = a->from == 0 ? 0 : a->from + (unsigned)(a->begun % (a->last - a->from + 1));
        a->begun += go ? 1 : 0;
        pthread_mutex_unlock(&a->lock);
        if (!go) {
            return NULL;
        }
        char text[2048];
        int64_t start = now_ms();
        const char *why = ask_once(a, (uint16_t)from, text, sizeof(text));
        int64_t took = now_ms() - start;
        char *body = why == NULL ? body_of(a, text) : NULL, *peer = body == NULL ? NULL : strchr(body, ' ');
        pthread_mutex_lock(&a->lock);
        a->done++;
        a->slowest_ms = took > a->slowest_ms ? took : a->slowest_ms;
        if (peer == NULL) {
            a->failed++;
            count(a, "error", why != NULL ? why : "an answer that is cut or foreign");
        } else {
            *peer = '\0';
            count(a, "answer", body);
            count(a, "peer", peer + 1);
        }
        pthread_mutex_unlock(&a->lock);
        rest_ms(a->gap_ms);
    }
}

static int by_text(const void *x, const void *y)
{
    return strcmp(((const struct tally *)x)->text, ((const struct tally *)y)->text);
}

static int ask_main(int argc, char **argv)
{
    static struct asker a = {.count = 1, .parallel = 1, .timeout_ms = 10000, .lock = PTHREAD_MUTEX_INITIALIZER};
    char *colon = argc > 2 ? strrchr(argv[argc - 1], ':') : NULL;
    for (int i = 2; i + 1 < argc; i++) {
        const char *v;
        if ((v = value_of(argv[i], "count")) != NULL) {
            a.count = strtoul(v, NULL, 10);
        } else if ((v = value_of(argv[i], "until")) != NULL) {
            a.until = v;
            a.count = 0;
        } else if ((v = value_of(argv[i], "parallel")) != NULL && atoi(v) > 0 && atoi(v) <= WORKERS_MAX) {
            a.parallel = (unsigned)atoi(v);
        } else if ((v = value_of(argv[i], "proto")) != NULL) {
            a.udp = strcmp(v, "udp") == 0;
        } else if ((v = value_of(argv[i], "timeout")) != NULL) {
            a.timeout_ms = atoi(v);
        } else if ((v = value_of(argv[i], "gap")) != NULL) {
            a.gap_ms = atoi(v);
        } else if ((v = value_of(argv[i], "from")) != NULL) {
            const char *dash = strchr(v, '-');
            a.from = (unsigned)atoi(v) & 0xffff;
            a.last = dash == NULL ? a.from : (unsigned)atoi(dash + 1) & 0xffff;
        } else {
            return 2;
        }
    }
    if (colon == NULL || (a.count == 0 && a.until == NULL) || a.last < a.from) {
        return 2;
    }
    *colon = '\0';
    a.to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1))};
    if (inet_pton(AF_INET, argv[argc - 1], &a.to.sin_addr) != 1) {
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    pthread_t workers[WORKERS_MAX];
    for (unsigned i = 0; i < a.parallel; i++) {
        if (pthread_create(&workers[i], NULL, work, &a) != 0) {
            die("start a thread");
        }
    }
    for (unsigned i = 0; i < a.parallel; i++) {
        pthread_join(workers[i], NULL);
    }
    qsort(a.tallies, a.n_tallies, sizeof(a.tallies[0]), by_text);
    for (unsigned i = 0; i < a.n_tallies; i++) {
        printf("%s %lu\n", a.tallies[i].text, a.tallies[i].n);
    }
    printf("requests %lu failed %lu slowest %lld\n", a.done, a.failed, (long long)a.slowest_ms);
    return a.failed != 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    int rc = argc > 1 && strcmp(argv[1], "serve") == 0 ? serve_main(argc, argv)
             : argc > 1 && strcmp(argv[1], "ask") == 0 ? ask_main(argc, argv)
                                                       : 2;
    if (rc == 2) {
        fputs("usage: traffic serve NAME [tcp=PORT] [udp=PORT] [delay=MS] [linger=MS] | traffic ask [count=N | "
              "until=FILE] [parallel=P] [proto=udp] "
              "[timeout=MS] [gap=MS] [from=PORT[-LAST]] ADDRESS:PORT\n",
              stderr);
    }
    return rc;
}

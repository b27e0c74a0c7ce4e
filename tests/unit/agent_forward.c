/* port-forward as an agent serves it: connections to a server on this loop, in all the ways in which they end. The
 * hollow runtime's pods share this network. */
#include "tests/unit/agent_whole.h"

#include <dirent.h>

#define MANY 60

struct far { /* the pod's end of a connection */
    uv_tcp_t tcp;
    bool eof, closing;
    struct buf in;
};
struct near { /* the client's end */
    struct rpc_stream *stream;
    bool eof, over;
    struct error error; /* code 0: regularly */
    struct buf in;
};
struct place {
    uv_tcp_t listener;
    unsigned port, count;
    bool closed;
    struct far *fars[MANY];
};

/* ---- The pod ---- */

static void far_alloc(uv_handle_t *h, size_t hint, uv_buf_t *b)
{
    (void)hint;
    (void)h;
    static char chunk[4096];
    *b = uv_buf_init(chunk, sizeof chunk);
}

static void far_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct far *x = s->data;
    if (n < 0) {
        x->eof = true;
        uv_read_stop(s);
    } else {
        buf_append(&x->in, b->base, (size_t)n);
    }
}

static void far_come(uv_stream_t *s, int status)
{
    struct place *p = s->data;
    assert_int_equal(status, 0);
    assert_true(p->count < MANY);
    struct far *x = p->fars[p->count++] = xcalloc(1, sizeof *x);
    assert_int_equal(uv_tcp_init(s->loop, &x->tcp), 0);
    x->tcp.data = x;
    assert_int_equal(uv_accept(s, (uv_stream_t *)&x->tcp), 0);
    uv_read_start((uv_stream_t *)&x->tcp, far_alloc, far_read);
}

static void far_gone(uv_handle_t *h)
{
    ((struct far *)h->data)->closing = true;
}

static void far_say(struct far *x, const char *text)
{
    uv_buf_t b = uv_buf_init((char *)(uintptr_t)text, (unsigned)strlen(text));
    assert_int_equal(uv_try_write((uv_stream_t *)&x->tcp, &b, 1), (int)strlen(text));
}

static void shut(uv_shutdown_t *req, int status)
{
    (void)status;
    free(req);
}

static void far_end(struct far *x) /* its half */
{
    uv_shutdown(xmalloc(sizeof(uv_shutdown_t)), (uv_stream_t *)&x->tcp, shut);
}

static void place_open(struct place *p, uv_loop_t *loop)
{
    struct sockaddr_in at;
    int size = sizeof at;
    uv_ip4_addr("127.0.0.1", 0, &at);
    assert_int_equal(uv_tcp_init(loop, &p->listener), 0);
    p->listener.data = p;
    assert_int_equal(uv_tcp_bind(&p->listener, (const struct sockaddr *)&at, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&p->listener, MANY, far_come), 0);
    uv_tcp_getsockname(&p->listener, (struct sockaddr *)&at, &size);
    p->port = ntohs(at.sin_port);
}

static void place_gone(uv_handle_t *h)
{
    ((struct place *)h->data)->closed = true;
}

/* ---- The client ---- */

static void near_data(struct rpc_stream *st, struct mp payload, size_t n, void *data)
{
    struct near *x = data;
    struct mp m = payload;
    struct str bytes;
    if (mp_read_bin(&m, &bytes)) {
        buf_append_str(&x->in, bytes);
    } else {
        x->eof = x->eof || mp_bool(mp_get(payload, "eof"), false);
    }
    rpc_stream_consumed(st, n);
}

static void near_over(struct rpc_stream *st, const struct error *err, void *data)
{
    struct near *x = data;
    x->over = true;
    if (err != NULL) {
        x->error = *err;
    }
    if (x->stream != NULL) {
        rpc_stream_end(st, NULL);
    }
}

static void near_open(struct fixture *f, struct near *x, unsigned port)
{
    static const struct rpc_stream_events events = {.on_data = near_data, .on_end = near_over};
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_map(&b, 3);
    mp_write_key_str(&b, "namespace", STR("default"));
    mp_write_key_str(&b, "name", STR("web"));
    mp_write_key_int(&b, "port", port);
    *x = (struct near){0};
    x->stream = rpc_stream_open(f->master.agent, "pod.portforward", buf_str(&b), &events, x);
}

static void near_say(struct fixture *f, struct near *x, const char *text) /* NULL: the end of its half */
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (text != NULL) {
        mp_write_bin(&b, text, strlen(text));
    } else {
        mp_write_map(&b, 1);
        mp_write_key_bool(&b, "eof", true);
    }
    run_until(&f->loop, rpc_stream_write(x->stream, buf_str(&b)) == 0); /* not before the answer */
}

static unsigned descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;
    assert_non_null(d);
    while (readdir(d) != NULL) {
        n++;
    }
    closedir(d);
    return n;
}

/* ---- Tests ---- */

static void connections_end_in_all_ways_and_leave_nothing(void **state)
{
    struct fixture *f = *state;
    struct place p = {0};
    struct near n[MANY];
    struct fake_master *m = &f->master;
    master_order(m->pods, "ADDED", POD("web", SLEEP));
    master_order(m->pods, NULL, NULL);
    run_until(&f->loop, master_heard(m, "status default/web Running"));
    place_open(&p, &f->loop);
    unsigned before = descriptors();
    for (unsigned i = 0; i < MANY; i++) { /* one after the other, so that both ends have the same number */
        near_open(f, &n[i], p.port);
        near_say(f, &n[i], "in");
        run_until(&f->loop, p.count == i + 1 && p.fars[i]->in.size == 2);
        far_say(p.fars[i], "out");
    }
    assert_true(descriptors() >= before + 2 * MANY);
    for (unsigned i = 0; i < MANY; i++) {
        struct far *x = p.fars[i];
        run_until(&f->loop, n[i].in.size == 3);
        switch (i % 5) {
        case 0: /* the client's half, then the pod's */
            near_say(f, &n[i], NULL);
            run_until(&f->loop, x->eof);
            far_say(x, "more");
            far_end(x);
            run_until(&f->loop, n[i].over);
            assert_int_equal(n[i].in.size, 7);
            assert_true(n[i].eof && n[i].error.code == 0);
            break;
        case 1: /* the pod's half, then the client's */
            far_end(x);
            run_until(&f->loop, n[i].eof);
            near_say(f, &n[i], "late");
            run_until(&f->loop, x->in.size == 6);
            near_say(f, &n[i], NULL);
            run_until(&f->loop, n[i].over && x->eof);
            assert_int_equal(n[i].error.code, 0);
            break;
        case 2: /* the pod breaks it off */
            uv_tcp_close_reset(&x->tcp, far_gone);
            run_until(&f->loop, n[i].over && x->closing);
            assert_true(n[i].eof && n[i].error.code == 0);
            break;
        case 3: /* the client is gone */
            rpc_stream_end(TAKE_PTR(n[i].stream), NULL);
            run_until(&f->loop, n[i].over && x->eof);
            break;
        default: /* nobody does anything: below */
            break;
        }
        if (!x->closing && i % 5 != 4) {
            uv_close((uv_handle_t *)&x->tcp, far_gone);
            run_until(&f->loop, x->closing);
        }
    }
    for (unsigned i = 4; i < MANY; i += 5) {
        rpc_stream_end(TAKE_PTR(n[i].stream), NULL);
        run_until(&f->loop, n[i].over && p.fars[i]->eof);
        uv_close((uv_handle_t *)&p.fars[i]->tcp, far_gone);
        run_until(&f->loop, p.fars[i]->closing);
    }
    run_until(&f->loop, descriptors() <= before);
    uv_close((uv_handle_t *)&p.listener, place_gone);
    run_until(&f->loop, p.closed);
    struct near refused;
    near_open(f, &refused, p.port);
    run_until(&f->loop, refused.over);
    assert_non_null(strstr(refused.error.message, "Connection refused"));
    for (unsigned i = 0; i < MANY; i++) {
        buf_close(&n[i].in);
        buf_close(&p.fars[i]->in);
        free(p.fars[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(connections_end_in_all_ways_and_leave_nothing, whole_setup, whole_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

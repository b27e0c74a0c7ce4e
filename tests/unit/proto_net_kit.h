/* What the tests of net and rpc share: a cluster's CA, identities, and a loop that is driven until something is
 * true. */
#ifndef TESTS_PROTO_NET_KIT_H
#define TESTS_PROTO_NET_KIT_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <uv.h>

#include "base/mem.h"
#include "proto/net/net.h"
#include "proto/pki/pki.h"

struct kit_ca {
    char *cert, *key;
};

static inline struct kit_ca kit_ca_new(const char *name)
{
    struct kit_ca ca;
    struct error err = {0};
    if (pki_make_ca(name, &ca.cert, &ca.key, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return ca;
}

static inline void kit_ca_free(struct kit_ca *ca)
{
    free(ca->cert);
    pki_free_key(ca->key);
}

/* A certificate and its key; with life_s below zero it has expired already. */
struct kit_leaf {
    char *cert, *key;
};

static inline struct kit_leaf kit_leaf_new(const struct kit_ca *ca, enum pki_role role, const char *name,
                                           int64_t life_s)
{
    struct pki_identity who = {.role = role};
    snprintf(who.name, sizeof who.name, "%s", name);
    struct kit_leaf leaf;
    struct error err = {0};
    if (pki_issue(ca->cert, ca->key, &who, "localhost,127.0.0.1", life_s, &leaf.cert, &leaf.key, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return leaf;
}

static inline void kit_leaf_free(struct kit_leaf *leaf)
{
    free(leaf->cert);
    pki_free_key(leaf->key);
}

/* TLS of somebody with a certificate of ca, who trusts `trusted`. */
static inline struct net_tls *kit_tls_trusting(const struct kit_ca *ca, const struct kit_ca *trusted,
                                               enum pki_role role, const char *name)
{
    struct kit_leaf leaf = kit_leaf_new(ca, role, name, 3600);
    struct error err = {0};
    struct net_tls *tls = NULL;
    if (net_tls_new(trusted->cert, leaf.cert, leaf.key, NULL, &tls, &err) != 0) {
        fail_msg("%s", err.message);
    }
    kit_leaf_free(&leaf);
    return tls;
}

static inline struct net_tls *kit_tls(const struct kit_ca *ca, enum pki_role role, const char *name)
{
    return kit_tls_trusting(ca, ca, role, name);
}

#define KIT_DEADLINE_MS 20000

static inline void kit_deadline_cb(uv_timer_t *t)
{
    *(bool *)t->data = true;
}

static inline void kit_closed_cb(uv_handle_t *h)
{
    h->data = NULL;
}

/* Run the loop until `condition` holds; fail the test at the deadline. */
#define KIT_UNTIL(loop, condition)                                                                                     \
    do {                                                                                                               \
        bool late_ = false;                                                                                            \
        uv_timer_t timer_;                                                                                             \
        uv_timer_init(loop, &timer_);                                                                                  \
        timer_.data = &late_;                                                                                          \
        uv_update_time(loop);                                                                                          \
        uv_timer_start(&timer_, kit_deadline_cb, KIT_DEADLINE_MS, 0);                                                  \
        while (!(condition) && !late_) {                                                                               \
            uv_run(loop, UV_RUN_ONCE);                                                                                 \
        }                                                                                                              \
        uv_close((uv_handle_t *)&timer_, kit_closed_cb);                                                               \
        while (timer_.data != NULL) {                                                                                  \
            uv_run(loop, UV_RUN_NOWAIT);                                                                               \
        }                                                                                                              \
        if (late_) {                                                                                                   \
            fail_msg("not within the deadline: %s", #condition);                                                       \
        }                                                                                                              \
    } while (0)

/* Everything must be gone by itself. */
static inline void kit_loop_end(uv_loop_t *loop)
{
    uv_run(loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(loop), 0);
}

#endif

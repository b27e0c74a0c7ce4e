/* Service ports and the changes that come of them, as lines of text. */
#ifndef TESTS_UNIT_AGENT_SERVICE_KIT_H
#define TESTS_UNIT_AGENT_SERVICE_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/service/table.h"
#include "base/buf.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define CHANGES_MAX 65536u

static inline uint32_t ip_of(const char *text)
{
    struct in_addr a;
    assert_int_equal(inet_pton(AF_INET, text, &a), 1);
    return ntohl(a.s_addr);
}

static inline struct cidr range_of(const char *text)
{
    struct cidr c;
    assert_true(cidr_parse(str_of(text), &c));
    return c;
}

/* "10.1.1.1 ready here": words of its state behind the address; the port is 8080. */
static inline struct service_endpoint endpoint_of(const char *text)
{
    char ip[32];
    assert_int_equal(sscanf(text, "%31s", ip), 1);
    return (struct service_endpoint){.ip = ip_of(ip),
                                     .port = 8080,
                                     .ready = strstr(text, "ready") != NULL,
                                     .serving = strstr(text, "ready") != NULL || strstr(text, "serving") != NULL,
                                     .terminating = strstr(text, "terminating") != NULL,
                                     .local = strstr(text, "here") != NULL};
}

/* Several of them, with commas between; as many as there are. */
static inline unsigned endpoints_of(const char *text, struct service_endpoint *out, unsigned max)
{
    CLEANUP_FREE char *copy = xstrdup(text);
    unsigned n = 0;
    char *rest = NULL;
    for (char *w = strtok_r(copy, ",", &rest); w != NULL; w = strtok_r(NULL, ",", &rest)) {
        assert_true(n < max);
        out[n++] = endpoint_of(w);
    }
    return n;
}

static inline const char *address_text(const uint8_t *bytes)
{
    static char text[4][INET_ADDRSTRLEN];
    static unsigned at;
    return inet_ntop(AF_INET, bytes, text[at++ % 4], INET_ADDRSTRLEN);
}

static inline unsigned port_text(const uint8_t *bytes)
{
    return (unsigned)bytes[0] << 8 | bytes[1];
}

static inline uint32_t number_of(const uint8_t *bytes)
{
    uint32_t number;
    memcpy(&number, bytes, sizeof number);
    return number;
}

static inline void write_info(struct buf *out, uint32_t info)
{
    buf_printf(out, "%s%u", (info & SERVICE_LOCAL) != 0 ? "local " : "", info & SERVICE_PLACES);
    buf_puts(out, (info & SERVICE_REFUSE) != 0 ? " refuse" : (info & SERVICE_DROP) != 0 ? " drop" : "");
    buf_puts(out, (info & SERVICE_MASK) != 0 ? " mask" : "");
    buf_puts(out, (info & SERVICE_LIMIT) != 0 ? " limit" : "");
    if ((info & SERVICE_STEP) != 0) {
        static const unsigned steps[] = SERVICE_AFFINITY_STEPS;
        buf_printf(out, " sticks %us", steps[(info >> SERVICE_STEP_SHIFT) - 1]);
    }
}

static inline void write_change(struct buf *out, const struct nft_change *c)
{
    const uint8_t *k = c->key;
    buf_printf(out, "%s %s %s", !c->add ? "-" : c->replaces ? "~" : "+", service_sets[c->set].name, address_text(k));
    if (c->set == SERVICE_SET_MEMBERS) {
        buf_printf(out, " %u", port_text(k + 4));
    } else if (c->set != SERVICE_SET_HAIRPIN && c->set != SERVICE_SET_ADDRESSES) {
        buf_printf(out, " %s %u", k[4] == IPPROTO_UDP ? "udp" : "tcp", port_text(k + 8));
    }
    if (c->set == SERVICE_SET_ENDPOINTS) {
        uint32_t place = number_of(k + 12);
        if ((place & SERVICE_MEMBER) != 0) {
            buf_puts(out, " member");
        } else {
            buf_printf(out, " %s%u", (place & SERVICE_LOCAL_PLACE) != 0 ? "local " : "", place & SERVICE_PLACES);
        }
        if (c->add) {
            buf_printf(out, ": %s %u", address_text(c->data), port_text(c->data + 4));
        }
    } else if (c->set == SERVICE_SET_SOURCES) {
        buf_printf(out, " from %s-%s", address_text(k + 12), address_text(k + 16));
    } else if (c->add && (c->set == SERVICE_SET_PORTS || c->set == SERVICE_SET_OUTSIDE)) {
        buf_puts(out, ": ");
        write_info(out, number_of(c->data));
    }
    buf_putc(out, '\n');
}

/* What waits, as text. */
static inline void write_changes(struct buf *out, const struct service_table *t)
{
    struct nft_change *list = xcalloc(CHANGES_MAX, sizeof *list);
    unsigned n = service_table_next(t, list, CHANGES_MAX);
    buf_reset(out);
    for (unsigned i = 0; i < n; i++) {
        write_change(out, &list[i]);
    }
    free(list);
}

/* The kernel takes all that waits. */
static inline unsigned take_all(struct service_table *t)
{
    struct nft_change list[64];
    unsigned n, all = 0;
    while ((n = service_table_next(t, list, ARRAY_SIZE(list))) > 0) {
        service_table_done(t, n);
        all += n;
    }
    return all;
}

static inline void expect_changes(struct service_table *t, const char *wanted)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    write_changes(&text, t);
    assert_string_equal(buf_cstr(&text), wanted);
    take_all(t);
}

#endif

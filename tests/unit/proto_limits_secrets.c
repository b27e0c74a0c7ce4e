/* What was secret is in this process's memory no more when whoever held it has let it go: all memory that can be
 * written is searched for it, as somebody does who reads it. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/crypto.h>

#include "base/mem.h"
#include "proto/net/net.h"
#include "proto/pki/pki.h"
#include "proto/text/text.h"

#define MASK 0x5a

/* What is looked for, masked, so that the search does not find itself. */
struct needle {
    uint8_t masked[64];
    size_t size;
};

static void needle_of(struct needle *n, const void *p, size_t size)
{
    n->size = size < sizeof n->masked ? size : sizeof n->masked;
    for (size_t i = 0; i < n->size; i++) {
        n->masked[i] = ((const uint8_t *)p)[i] ^ MASK;
    }
}

static bool is_here(const struct needle *n, const uint8_t *p)
{
    for (size_t i = 0; i < n->size; i++) {
        if (p[i] != (n->masked[i] ^ MASK)) {
            return false;
        }
    }
    return true;
}

static unsigned found_in(const struct needle *n, const uint8_t *p, size_t size)
{
    unsigned found = 0;
    uint8_t first = n->masked[0] ^ MASK;
    for (const uint8_t *at = p; size >= n->size && (at = memchr(at, first, size - n->size + 1 - (size_t)(at - p)));
         at++) {
        found += is_here(n, at);
        if (at == p + size - n->size) {
            break;
        }
    }
    return found;
}

/* In a buffer that is no part of what is searched: read through the kernel, a page at a time with some of the next. */
static unsigned count(const struct needle *n)
{
    static uint8_t page[4096 + sizeof n->masked];
    unsigned found = 0;
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "re");
    int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    assert_true(maps != NULL && mem >= 0);
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long from, to;
        char rights[5];
        if (sscanf(line, "%lx-%lx %4s", &from, &to, rights) != 3 || rights[1] != 'w') {
            continue;
        }
        for (unsigned long at = from; at < to; at += 4096) {
            bool own = at < (unsigned long)page + sizeof page && at + 4096 + sizeof n->masked > (unsigned long)page;
            ssize_t got = own ? -1 : pread(mem, page, MIN(sizeof page, to - at), (off_t)at);
            found += got > 0 ? found_in(n, page, (size_t)got) : 0;
            memset(page, 0, sizeof page);
        }
    }
    fclose(maps);
    close(mem);
    return found;
}

/* From the middle of the text of a key, and the number itself that it stands for. */
static void needles_of_key(const char *pem, struct needle *text, struct needle *number)
{
    CLEANUP_BUF_WIPE struct buf raw = BUF_INIT;
    const char *body = strchr(pem, '\n') + 1, *end = strstr(body, "-----END");
    char *joined = xcalloc(1, (size_t)(end - body) + 1), *at = joined;
    for (const char *p = body; p < end; p++) {
        if (*p != '\n') {
            *at++ = *p;
        }
    }
    assert_true(base64_read(&raw, (struct str){joined, (size_t)(at - joined)}));
    needle_of(text, body + 70, 40);
    /* PKCS #8 of P-256: the private number follows "04 20". */
    uint8_t *found = memmem(raw.data, raw.size, "\x02\x01\x01\x04\x20", 5);
    assert_non_null(found);
    needle_of(number, found + 5, 32);
    mem_wipe(joined, (size_t)(at - joined));
    free(joined);
}

static bool can_search(void)
{
#ifdef __SANITIZE_ADDRESS__
    return false; /* its shadow is terabytes */
#else
    return true;
#endif
}

static void a_key_is_gone_when_it_is_freed(void **state)
{
    (void)state;
    if (!can_search()) {
        skip();
    }
    struct pki_identity who = {.role = PKI_ROLE_NODE, .name = "n1"};
    struct error err = {0};
    struct needle text, number;
    char *csr = NULL, *key = NULL;
    assert_int_equal(pki_make_request(&who, &csr, &key, &err), 0);
    needles_of_key(key, &text, &number);
    assert_true(count(&text) >= 1); /* the search finds what is there */
    pki_free_key(key);
    free(csr);
    assert_int_equal(count(&text), 0);
    assert_int_equal(count(&number), 0);
}

static void a_key_that_was_used_for_connections_is_gone_with_them(void **state)
{
    (void)state;
    if (!can_search()) {
        skip();
    }
    struct pki_identity who = {.role = PKI_ROLE_MASTER, .name = "1"};
    struct error err = {0};
    struct needle text, number, ca_text, ca_number;
    struct net_tls *tls = NULL;
    char *ca = NULL, *ca_key = NULL, *cert = NULL, *key = NULL;
    assert_int_equal(pki_make_ca("c", &ca, &ca_key, &err), 0);
    assert_int_equal(pki_issue(ca, ca_key, &who, NULL, 3600, &cert, &key, &err), 0);
    needles_of_key(key, &text, &number);
    needles_of_key(ca_key, &ca_text, &ca_number);
    assert_int_equal(net_tls_new(ca, cert, key, NULL, &tls, &err), 0);
    pki_free_key(key);
    pki_free_key(ca_key);
    assert_int_equal(count(&text), 0); /* of the text nobody has need any more */
    assert_int_equal(count(&ca_text), 0);
    assert_int_equal(count(&ca_number), 0);
    net_tls_unref(tls);
    assert_int_equal(count(&number), 0);
    free(ca);
    free(cert);
}

static void what_was_unsealed_is_gone_when_it_is_wiped(void **state)
{
    (void)state;
    if (!can_search()) {
        skip();
    }
    static const char masked[] = "\x29\x3f\x39\x28\x3f\x2e\x77\x2c\x3b\x36\x2f\x3f\x77\x35\x3c\x77\x3b\x77\x2a\x35\x3e";
    uint8_t key[PKI_SEAL_KEY_SIZE] = {7};
    struct needle secret = {.size = sizeof masked - 1};
    CLEANUP_BUF struct buf sealed = BUF_INIT;
    struct buf plain = BUF_INIT, back = BUF_INIT;
    memcpy(secret.masked, masked, secret.size);
    buf_reserve(&plain, 64);
    for (size_t i = 0; i < secret.size; i++) {
        uint8_t c = secret.masked[i] ^ MASK;
        buf_append(&plain, &c, 1);
    }
    assert_int_equal(pki_seal(key, STR("aad"), buf_str(&plain), &sealed), 0);
    buf_wipe(&plain);
    assert_int_equal(count(&secret), 0);
    assert_int_equal(pki_open(key, STR("aad"), buf_str(&sealed), &back), 0);
    assert_int_equal(back.size, secret.size);
    assert_int_equal(count(&secret), 1);
    buf_wipe(&back);
    assert_int_equal(count(&secret), 0);
}

/* Places for records of TLS are kept for whoever asks next. */
static void a_record_is_gone_when_its_place_is_given_back(void **state)
{
    static const char masked[] = "\x2e\x36\x29\x77\x28\x3f\x39\x35\x28\x3e\x77\x35\x3c\x77\x29\x35\x37\x3f\x3e";
    enum { PLACES = 6, SIZE = (16 << 10) + 300 };
    struct needle secret = {.size = sizeof masked - 1};
    uint8_t *at[PLACES];
    (void)state;
    memcpy(secret.masked, masked, secret.size);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < PLACES; i++) {
            at[i] = OPENSSL_malloc(SIZE + 100 * i);
            assert_non_null(at[i]);
            for (unsigned j = 0; j < i; j++) {
                assert_ptr_not_equal(at[i], at[j]);
            }
            for (size_t j = 0; j < secret.size; j++) {
                at[i][j] = at[i][SIZE + 100 * i - secret.size + j] = secret.masked[j] ^ MASK;
            }
        }
        assert_true(!can_search() || count(&secret) >= 2 * PLACES);
        for (unsigned i = 0; i < PLACES; i++) {
            OPENSSL_free(at[i]);
        }
        assert_int_equal(can_search() ? count(&secret) : 0, 0);
    }
    uint8_t *grown = OPENSSL_realloc(OPENSSL_malloc(100), SIZE);
    memset(grown, 1, SIZE);
    OPENSSL_free(grown);
}

int main(void)
{
    bool wiping = pki_wipe_what_is_freed(); /* as the programs do */
    assert_true(wiping);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_gone_when_it_is_freed),
        cmocka_unit_test(a_key_that_was_used_for_connections_is_gone_with_them),
        cmocka_unit_test(what_was_unsealed_is_gone_when_it_is_wiped),
        cmocka_unit_test(a_record_is_gone_when_its_place_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

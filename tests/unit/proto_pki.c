/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "proto/pki/pki.h"
#include "proto/pki/x509.h"

struct pair {
    char *cert, *key;
};

static void pair_free(struct pair *p)
{
    free(p->cert);
    pki_free_key(p->key);
}

static struct pair make_ca(void)
{
    struct pair ca;
    assert_int_equal(pki_make_ca("test", &ca.cert, &ca.key, NULL), 0);
    return ca;
}

static struct pki_identity identity(enum pki_role role, const char *name)
{
    struct pki_identity who = {.role = role};
    snprintf(who.name, sizeof who.name, "%s", name);
    return who;
}

static void issued_certificate_names_role_name_and_validity(void **state)
{
    (void)state;
    struct pair ca = make_ca();
    const enum pki_role roles[] = {PKI_ROLE_MASTER, PKI_ROLE_NODE, PKI_ROLE_ADMIN};
    for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
        struct pki_identity who = identity(roles[i], "n1.example"), seen;
        struct pair p;
        int64_t from, until, now = (int64_t)time(NULL);
        assert_int_equal(pki_issue(ca.cert, ca.key, &who, "localhost, 127.0.0.1,::1", 3600, &p.cert, &p.key, NULL), 0);
        assert_int_equal(pki_cert_info(p.cert, &seen, &from, &until, NULL), 0);
        assert_int_equal(seen.role, roles[i]);
        assert_string_equal(seen.name, "n1.example");
        assert_in_range(now - from, 299, 310);
        assert_in_range(until - now, 3590, 3600);
        pair_free(&p);
    }
    pair_free(&ca);
}

static void name_of_253_bytes_is_kept(void **state)
{
    (void)state;
    struct pair ca = make_ca(), p;
    struct pki_identity who = {.role = PKI_ROLE_NODE}, seen;
    memset(who.name, 'a', PKI_NAME_MAX);
    assert_int_equal(pki_issue(ca.cert, ca.key, &who, NULL, 60, &p.cert, &p.key, NULL), 0);
    assert_int_equal(pki_cert_info(p.cert, &seen, NULL, NULL, NULL), 0);
    assert_string_equal(seen.name, who.name);
    pair_free(&p);
    pair_free(&ca);
}

static void issue_refuses_bad_names(void **state)
{
    (void)state;
    struct pair ca = make_ca(), p;
    struct error err = {0};
    struct pki_identity none = identity(PKI_ROLE_NONE, "x"), empty = identity(PKI_ROLE_NODE, ""),
                        control = identity(PKI_ROLE_NODE, "a\nb"), good = identity(PKI_ROLE_NODE, "n1");
    assert_int_equal(pki_issue(ca.cert, ca.key, &none, NULL, 60, &p.cert, &p.key, &err), ERR_INVALID);
    assert_int_equal(pki_issue(ca.cert, ca.key, &empty, NULL, 60, &p.cert, &p.key, &err), ERR_INVALID);
    assert_int_equal(pki_issue(ca.cert, ca.key, &control, NULL, 60, &p.cert, &p.key, &err), ERR_INVALID);
    assert_int_equal(pki_issue(ca.cert, ca.key, &good, "ok.example,not/a name", 60, &p.cert, &p.key, &err),
                     ERR_INVALID);
    assert_non_null(strstr(err.message, "not/a"));
    pair_free(&ca);
}

static void issue_refuses_a_ca_key_of_another_ca(void **state)
{
    (void)state;
    struct pair a = make_ca(), b = make_ca(), p;
    struct error err = {0};
    struct pki_identity who = identity(PKI_ROLE_NODE, "n1");
    assert_int_equal(pki_issue(a.cert, b.key, &who, NULL, 60, &p.cert, &p.key, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "does not belong"));
    assert_int_equal(pki_issue("garbage", b.key, &who, NULL, 60, &p.cert, &p.key, &err), ERR_INVALID);
    assert_int_equal(pki_issue(a.cert, "garbage", &who, NULL, 60, &p.cert, &p.key, &err), ERR_INVALID);
    pair_free(&a);
    pair_free(&b);
}

static void issue_refuses_a_leaf_as_ca(void **state)
{
    (void)state;
    struct pair ca = make_ca(), leaf, p;
    struct error err = {0};
    struct pki_identity who = identity(PKI_ROLE_MASTER, "1");
    assert_int_equal(pki_issue(ca.cert, ca.key, &who, NULL, 60, &leaf.cert, &leaf.key, NULL), 0);
    assert_int_equal(pki_issue(leaf.cert, leaf.key, &who, NULL, 60, &p.cert, &p.key, &err), ERR_INVALID);
    pair_free(&leaf);
    pair_free(&ca);
}

static void request_is_signed_for_who_the_signer_says(void **state)
{
    (void)state;
    struct pair ca = make_ca();
    struct pki_identity asked = identity(PKI_ROLE_ADMIN, "mallory"), granted = identity(PKI_ROLE_NODE, "n7"), seen;
    char *csr, *key, *cert;
    assert_int_equal(pki_make_request(&asked, &csr, &key, NULL), 0);
    assert_int_equal(pki_sign_request(ca.cert, ca.key, csr, &granted, "n7.example", 60, 0, &cert, NULL), 0);
    assert_int_equal(pki_cert_info(cert, &seen, NULL, NULL, NULL), 0);
    assert_int_equal(seen.role, PKI_ROLE_NODE);
    assert_string_equal(seen.name, "n7");
    free(csr);
    free(cert);
    pki_free_key(key);
    pair_free(&ca);
}

static void certificate_that_is_limited_says_so(void **state)
{
    for (const char *arc = PKI_LIMIT_OID; arc != NULL; arc = strchr(arc, '.')) { /* what kubectl can read */
        arc += *arc == '.';
        assert_in_range(strtoull(arc, NULL, 10), 1, INT32_MAX);
    }
    (void)state;
    static const int64_t lives[] = {1, 600, 3600, PKI_CERT_VALID_S};
    const struct pki_identity who = {PKI_ROLE_USER, "kate"};
    struct pair ca = make_ca(), p;
    struct pki_facts facts;
    char *csr, *key;
    assert_int_equal(pki_make_request(&who, &csr, &key, NULL), 0);
    for (size_t i = 0; i < 2 * ARRAY_SIZE(lives); i++) {
        char *cert;
        bool limited = i % 2 == 1;
        assert_int_equal(pki_sign_user(ca.cert, ca.key, csr, "kate", "dev\0", lives[i / 2], limited, 0, &cert, NULL),
                         0);
        assert_int_equal(pki_cert_facts(cert, &facts, NULL), 0);
        assert_int_equal(facts.limit_s, limited ? lives[i / 2] : 0);
        free(cert);
    }
    assert_int_equal(pki_issue(ca.cert, ca.key, &who, NULL, 600, &p.cert, &p.key, NULL), 0);
    assert_int_equal(pki_cert_facts(p.cert, &facts, NULL), 0);
    assert_int_equal(facts.limit_s, 0);
    pair_free(&p);
    free(csr);
    pki_free_key(key);
    pair_free(&ca);
}

static void encrypted_request_asks_nobody_for_a_pass_phrase(void **state)
{
    (void)state;
    const struct pki_identity who = {PKI_ROLE_NODE, "n7"};
    char *csr, *key, fingerprint[33];
    struct error err = {0};
    assert_int_equal(pki_make_request(&who, &csr, &key, NULL), 0);
    char *body = strchr(csr, '\n') + 1;
    CLEANUP_FREE char *sealed = xasprintf("%.*sProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,%s\n\n%s",
                                          (int)(body - csr), csr, "00112233445566778899AABBCCDDEEFF", body);
    assert_int_equal(pki_request_fingerprint(sealed, fingerprint, &err), ERR_INVALID);
    free(csr);
    pki_free_key(key);
}

/* A request with this subject and key, signed by it. */
static char *request_of(EVP_PKEY *key, const char *const *entries)
{
    X509_REQ *req = X509_REQ_new();
    X509_NAME *name = X509_REQ_get_subject_name(req);
    for (unsigned i = 0; entries[i] != NULL; i += 2) {
        assert_int_equal(X509_NAME_add_entry_by_txt(name, entries[i], MBSTRING_UTF8,
                                                    (const unsigned char *)entries[i + 1], -1, -1, 0),
                         1);
    }
    assert_int_equal(X509_REQ_set_pubkey(req, key), 1);
    assert_true(X509_REQ_sign(req, key, EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    char *p = NULL;
    assert_int_equal(PEM_write_bio_X509_REQ(bio, req), 1);
    long n = BIO_get_mem_data(bio, &p);
    char *text = xstrndup(p, (size_t)n);
    BIO_free(bio);
    X509_REQ_free(req);
    return text;
}

static void subject_of_a_request_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *entries[8];
        const char *name, *group;
        bool own, system, masters, fits;
    } rows[] = {
        {{"O", "dev", "CN", "kate", NULL}, "kate", "dev", false, false, false, true},
        {{"O", "dev", NULL}, "", "dev", false, false, false, true},
        {{"CN", "kate", "CN", "boss", NULL}, "", "", false, false, false, true},
        {{"CN", "system:admin", NULL}, "system:admin", "", false, true, false, true},
        {{"O", "dev", "O", "system:masters", "CN", "kate", NULL}, "kate", "dev", false, true, true, true},
        {{"O", "reeve:admins", "CN", "kate", NULL}, "kate", "reeve:admins", true, false, false, true},
        {{"O", "a\nb", "CN", "kate", NULL}, "kate", "", false, false, false, false},
        {{"CN", "a\nb", NULL}, "", "", false, false, false, true},
    };
    EVP_PKEY *key = EVP_EC_gen("P-256");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_FREE char *text = request_of(key, rows[i].entries);
        struct pki_subject s;
        struct error err = {0};
        assert_int_equal(pki_request_check(str_of(text), &s, &err), 0);
        assert_string_equal(s.name, rows[i].name);
        assert_string_equal(s.groups, rows[i].group);
        assert_true(s.own == rows[i].own && s.system == rows[i].system && s.masters == rows[i].masters &&
                    s.fits == rows[i].fits);
    }
    EVP_PKEY_free(key);
}

static void requests_of_keys_that_are_weak_or_slow_to_check_are_refused(void **state)
{
    (void)state;
    static const char *const subject[] = {"CN", "kate", NULL};
    struct {
        EVP_PKEY *key;
        const char *wrong; /* NULL: it counts */
    } rows[] = {
        {EVP_RSA_gen(2048), NULL},
        {EVP_RSA_gen(1024), "too weak"},
        {EVP_EC_gen("P-384"), NULL},
        {EVP_EC_gen("P-192"), "too weak"},
        {EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err = {0};
        assert_non_null(rows[i].key);
        CLEANUP_FREE char *text = request_of(rows[i].key, subject);
        assert_int_equal(pki_request_check(str_of(text), NULL, &err), rows[i].wrong == NULL ? 0 : ERR_INVALID);
        assert_true(rows[i].wrong == NULL || strstr(err.message, rows[i].wrong) != NULL);
        EVP_PKEY_free(rows[i].key);
    }
}

static void request_that_was_changed_is_refused(void **state)
{
    (void)state;
    struct pair ca = make_ca();
    struct pki_identity who = identity(PKI_ROLE_NODE, "n7");
    char *csr, *key, *cert = NULL;
    struct error err = {0};
    assert_int_equal(pki_make_request(&who, &csr, &key, NULL), 0);
    char *at = strchr(csr, '\n') + 70; /* inside the base64 text */
    *at = *at == 'A' ? 'B' : 'A';
    assert_int_equal(pki_sign_request(ca.cert, ca.key, csr, &who, NULL, 60, 0, &cert, &err), ERR_INVALID);
    assert_null(cert);
    assert_int_equal(pki_sign_request(ca.cert, ca.key, "hello", &who, NULL, 60, 0, &cert, &err), ERR_INVALID);
    free(csr);
    pki_free_key(key);
    pair_free(&ca);
}

static void fingerprint_is_stable_hex_and_differs_between_cas(void **state)
{
    (void)state;
    struct pair a = make_ca(), b = make_ca();
    char fa[33], fa2[33], fb[33];
    assert_int_equal(pki_cert_fingerprint(a.cert, fa, NULL), 0);
    assert_int_equal(pki_cert_fingerprint(a.cert, fa2, NULL), 0);
    assert_int_equal(pki_cert_fingerprint(b.cert, fb, NULL), 0);
    assert_int_equal(strspn(fa, "0123456789abcdef"), 32);
    assert_string_equal(fa, fa2);
    assert_string_not_equal(fa, fb);
    assert_int_equal(pki_cert_fingerprint("", fa, NULL), ERR_INVALID);
    pair_free(&a);
    pair_free(&b);
}

static void sealed_text_opens_with_the_same_key_and_aad_only(void **state)
{
    (void)state;
    uint8_t key[PKI_SEAL_KEY_SIZE] = {1, 2, 3}, other[PKI_SEAL_KEY_SIZE] = {1, 2, 4};
    CLEANUP_BUF struct buf sealed = BUF_INIT, again = BUF_INIT, plain = BUF_INIT;
    assert_int_equal(pki_seal(key, STR("ns/name"), STR("geheim"), &sealed), 0);
    assert_int_equal(pki_seal(key, STR("ns/name"), STR("geheim"), &again), 0);
    assert_int_equal(sealed.size, 6 + PKI_SEAL_OVERHEAD);
    assert_false(str_eq(buf_str(&sealed), buf_str(&again)));
    assert_int_equal(pki_open(key, STR("ns/name"), buf_str(&sealed), &plain), 0);
    assert_true(str_is(buf_str(&plain), "geheim"));
    assert_int_equal(pki_open(other, STR("ns/name"), buf_str(&sealed), &plain), ERR_CORRUPT);
    assert_int_equal(pki_open(key, STR("ns/other"), buf_str(&sealed), &plain), ERR_CORRUPT);
    for (size_t i = 0; i < sealed.size; i++) {
        sealed.data[i] ^= 1;
        assert_int_equal(pki_open(key, STR("ns/name"), buf_str(&sealed), &plain), ERR_CORRUPT);
        sealed.data[i] ^= 1;
    }
    struct str cut = {(const char *)sealed.data, PKI_SEAL_OVERHEAD - 1};
    assert_int_equal(pki_open(key, STR("ns/name"), cut, &plain), ERR_CORRUPT);
    assert_int_equal(plain.size, 6); /* failures add nothing */
}

static void empty_text_and_empty_aad_are_sealed(void **state)
{
    (void)state;
    uint8_t key[PKI_SEAL_KEY_SIZE] = {9};
    CLEANUP_BUF struct buf sealed = BUF_INIT, plain = BUF_INIT;
    assert_int_equal(pki_seal(key, STR_NONE, STR_NONE, &sealed), 0);
    assert_int_equal(pki_open(key, STR_NONE, buf_str(&sealed), &plain), 0);
    assert_int_equal(plain.size, 0);
}

static void written_file_has_mode_and_content_and_replaces_the_old(void **state)
{
    (void)state;
    char dir[] = "/tmp/reeve-pki-XXXXXX";
    assert_non_null(mkdtemp(dir));
    CLEANUP_FREE char *path = xasprintf("%s/key.pem", dir);
    struct error err = {0};
    assert_int_equal(pki_write_file(path, "one", 3, 0644, &err), 0);
    assert_int_equal(pki_write_file(path, "second", 6, 0600, &err), 0);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    char *text;
    size_t size;
    assert_int_equal(pki_read_file(path, 6, &text, &size, &err), 0);
    assert_string_equal(text, "second");
    assert_int_equal(size, 6);
    free(text);
    assert_int_equal(pki_read_file(path, 5, &text, &size, &err), ERR_TOO_LARGE);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0); /* nothing temporary stays behind */
}

static void file_errors_name_the_path(void **state)
{
    (void)state;
    char *text;
    struct error err = {0};
    assert_int_equal(pki_read_file("/nonexistent/reeve/key", 100, &text, NULL, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "/nonexistent/reeve/key"));
    assert_int_equal(pki_write_file("/nonexistent/reeve/key", "x", 1, 0600, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "/nonexistent/reeve/key"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(issued_certificate_names_role_name_and_validity),
        cmocka_unit_test(name_of_253_bytes_is_kept),
        cmocka_unit_test(issue_refuses_bad_names),
        cmocka_unit_test(issue_refuses_a_ca_key_of_another_ca),
        cmocka_unit_test(issue_refuses_a_leaf_as_ca),
        cmocka_unit_test(request_is_signed_for_who_the_signer_says),
        cmocka_unit_test(request_that_was_changed_is_refused),
        cmocka_unit_test(certificate_that_is_limited_says_so),
        cmocka_unit_test(encrypted_request_asks_nobody_for_a_pass_phrase),
        cmocka_unit_test(subject_of_a_request_is_told),
        cmocka_unit_test(requests_of_keys_that_are_weak_or_slow_to_check_are_refused),
        cmocka_unit_test(fingerprint_is_stable_hex_and_differs_between_cas),
        cmocka_unit_test(sealed_text_opens_with_the_same_key_and_aad_only),
        cmocka_unit_test(empty_text_and_empty_aad_are_sealed),
        cmocka_unit_test(written_file_has_mode_and_content_and_replaces_the_old),
        cmocka_unit_test(file_errors_name_the_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

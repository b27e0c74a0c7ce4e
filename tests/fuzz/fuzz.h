/* What the fuzz targets share. A target is one file fuzz_NAME.c with LLVMFuzzerTestOneInput: it turns the bytes into
 * calls of one reader of the product and checks what must hold for whatever comes out. Built by clang with libFuzzer it
 * is fuzzed, built with replay.c by any compiler it runs its corpus (tests/fuzz/fuzz.mk). */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "proto/model/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold for every input: also without asserts, and seen by the fuzzer as a crash. */
#define CHECK(cond)                                                                                                    \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #cond);                                  \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* A failure must have a text, and its code must be the one that was returned. */
#define CHECK_FAILED(rc, err) CHECK((rc) < 0 && (err).code == (rc) && (err).message[0] != '\0')

/* The bytes that are still to be used. */
struct fuzz_input {
    const uint8_t *p, *end;
};
static inline struct fuzz_input fuzz_input(const uint8_t *p, size_t n)
{
    return (struct fuzz_input){p, p + n};
}
static inline uint8_t fuzz_byte(struct fuzz_input *f)
{
    return f->p < f->end ? *f->p++ : 0;
}
static inline struct str fuzz_rest(struct fuzz_input *f)
{
    struct str s = {(const char *)f->p, (size_t)(f->end - f->p)};
    f->p = f->end;
    return s;
}
/* Up to the next separator byte, which is dropped; or the rest. */
static inline struct str fuzz_until(struct fuzz_input *f, uint8_t separator)
{
    size_t left = (size_t)(f->end - f->p);
    const uint8_t *at = left == 0 ? NULL : memchr(f->p, separator, left);
    if (at == NULL) {
        return fuzz_rest(f);
    }
    struct str s = {(const char *)f->p, (size_t)(at - f->p)};
    f->p = at + 1;
    return s;
}

/* ---- Documents (kit_value.c) ---- */

/* A document as readers let one in: depth, unique keys, no node missing. */
void fuzz_check_value(const struct value *v);
/* Written in every form and read back it is equal, and the second writing gives the same bytes. */
void fuzz_check_forms(const struct value *v);

#endif

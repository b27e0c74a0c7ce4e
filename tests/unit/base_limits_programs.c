/* The programs as they were built: loaded anywhere in memory, no stack that runs code, no table of addresses that
 * can be written, checked calls. */
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"

struct program {
    const uint8_t *bytes;
    size_t size;
    const Elf64_Ehdr *head;
    const Elf64_Phdr *segments;
};

static const void *part(const struct program *p, uint64_t at, uint64_t size)
{
    assert_true(size <= p->size && at <= p->size - size);
    return p->bytes + at;
}

/* Beside the directories of this test. */
static void program_open(struct program *p, const char *name)
{
    char path[PATH_MAX + 64];
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);
    assert_true(n > 0);
    path[n] = '\0';
    for (int i = 0; i < 3; i++) {
        *strrchr(path, '/') = '\0';
    }
    snprintf(path + strlen(path), 64, "/%s", name);
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        fail_msg("open %s", path);
    }
    p->size = (size_t)st.st_size;
    p->bytes = mmap(NULL, p->size, PROT_READ, MAP_PRIVATE, fd, 0);
    assert_true(p->bytes != MAP_FAILED);
    p->head = part(p, 0, sizeof *p->head);
    assert_memory_equal(p->head->e_ident, ELFMAG, SELFMAG);
    p->segments = part(p, p->head->e_phoff, p->head->e_phnum * sizeof *p->segments);
}

static const Elf64_Phdr *segment(const struct program *p, uint32_t type)
{
    for (unsigned i = 0; i < p->head->e_phnum; i++) {
        if (p->segments[i].p_type == type) {
            return &p->segments[i];
        }
    }
    return NULL;
}

static uint64_t dynamic(const struct program *p, int64_t tag)
{
    const Elf64_Phdr *s = segment(p, PT_DYNAMIC);
    assert_non_null(s);
    const Elf64_Dyn *d = part(p, s->p_offset, s->p_filesz);
    for (size_t i = 0; i < s->p_filesz / sizeof *d && d[i].d_tag != DT_NULL; i++) {
        if (d[i].d_tag == tag) {
            return d[i].d_un.d_val;
        }
    }
    return 0;
}

/* A name that the program takes from a library. */
static bool imports(const struct program *p, const char *end)
{
    const Elf64_Shdr *sections = part(p, p->head->e_shoff, p->head->e_shnum * sizeof *sections);
    for (unsigned i = 0; i < p->head->e_shnum; i++) {
        if (sections[i].sh_type != SHT_DYNSYM) {
            continue;
        }
        const Elf64_Shdr *text = &sections[sections[i].sh_link];
        const Elf64_Sym *symbols = part(p, sections[i].sh_offset, sections[i].sh_size);
        const char *names = part(p, text->sh_offset, text->sh_size);
        for (size_t k = 0; k < sections[i].sh_size / sizeof *symbols; k++) {
            const char *name = names + symbols[k].st_name;
            size_t n = strlen(name), m = strlen(end);
            if (symbols[k].st_shndx == SHN_UNDEF && n >= m && strcmp(name + n - m, end) == 0) {
                return true;
            }
        }
    }
    return false;
}

static void check(const char *name)
{
    struct program p;
    program_open(&p, name);
    assert_int_equal(p.head->e_type, ET_DYN);
    assert_true((dynamic(&p, DT_FLAGS_1) & DF_1_PIE) != 0);
    assert_true((dynamic(&p, DT_FLAGS_1) & DF_1_NOW) != 0);
    assert_non_null(segment(&p, PT_GNU_RELRO));
    assert_non_null(segment(&p, PT_GNU_STACK));
    assert_int_equal(segment(&p, PT_GNU_STACK)->p_flags & PF_X, 0);
    for (unsigned i = 0; i < p.head->e_phnum; i++) {
        if (p.segments[i].p_type == PT_LOAD) {
            assert_int_not_equal(p.segments[i].p_flags & (PF_W | PF_X), PF_W | PF_X);
        }
    }
#if !defined(__SANITIZE_ADDRESS__) && defined(__OPTIMIZE__)
    assert_true(imports(&p, "__stack_chk_fail"));
    assert_true(imports(&p, "__snprintf_chk"));
#else
    (void)imports;
#endif
    munmap((void *)p.bytes, p.size);
}

static void test_masters(void **state)
{
    (void)state;
    check("reeve-master");
}

static void test_agents(void **state)
{
    (void)state;
    check("reeve-agent");
}

static void test_rctl(void **state)
{
    (void)state;
    check("rctl");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_masters),
        cmocka_unit_test(test_agents),
        cmocka_unit_test(test_rctl),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

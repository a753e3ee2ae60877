// SPDX-License-Identifier: Apache-2.0
/*
 * main of a fuzz target in every build but the fuzzing one: run LLVMFuzzerTestOneInput over each file given,
 * or in the directories given, in the order of their names. No file at all is a failure: a test that runs
 * nothing proves nothing.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t n_files;

static int run_file(const char *path, size_t size)
{
    uint8_t *data = malloc(size ? size : 1); /* its own allocation, so that a sanitizer sees its end */
    FILE *f = fopen(path, "rbe");
    size_t n = 0;

    if (f && data)
        n = fread(data, 1, size, f);
    if (!f || !data || n != size) {
        fprintf(stderr, "%s: %s\n", path, f ? "cannot be read" : strerror(errno));
        exit(1);
    }
    fclose(f);
    (void)LLVMFuzzerTestOneInput(data, size);
    free(data);
    n_files++;
    return 0;
}

static int is_visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static void run(const char *path)
{
    struct dirent **entries;
    struct stat st;
    int n;

    if (stat(path, &st) < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(1);
    }
    if (!S_ISDIR(st.st_mode)) {
        run_file(path, (size_t)st.st_size);
        return;
    }
    n = scandir(path, &entries, is_visible, alphasort);
    for (int i = 0; i < n; i++) {
        char *inside;

        if (asprintf(&inside, "%s/%s", path, entries[i]->d_name) < 0)
            exit(1);
        run(inside);
        free(inside);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        run(argv[i]);
    printf("%zu files\n", n_files);
    return n_files == 0;
}

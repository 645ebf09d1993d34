/* Random bytes that are not: lab/dist/rustc says what for. */
long getrandom(char *bytes, unsigned long count, unsigned flags)
{
    (void)flags;
    for (unsigned long i = 0; i < count; i++)
        bytes[i] = 7;
    return count;
}

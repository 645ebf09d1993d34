# From `cargo metadata` to CycloneDX 1.5 (lab/dist/sbom). Crates that only test something, or run in a build script, are not of it.
def ref: "pkg:cargo/\(.name)@\(.version)";
(.packages | map({key: .id, value: .}) | from_entries) as $packages
| (.resolve.nodes | map({key: .id, value: [.deps[] | select(any(.dep_kinds[]; .kind == null)) | .pkg]}) | from_entries) as $needs
| .resolve.root as $root
# Procedural macros, and what only they need, run in the compiler: they are listed, as left out of the executable.
| def macro: [$packages[.].targets[].kind[]] | index("proc-macro");
  # What can be reached from the program, as {id: true}; `follow` says through which.
  def reached(follow): {seen: {($root): true}, todo: [$root]}
    | until(.todo | length == 0;
        .seen as $seen
        | ([$needs[.todo[0]][] | select(follow) | select($seen[.] | not)] | unique) as $new
        | {seen: ($seen + ($new | map({(.): true}) | add // {})), todo: (.todo[1:] + $new)})
    | .seen;
  reached(true) as $all
| reached(macro | not) as $linked
| {
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: {
      component: ($packages[$root] | {
        type: "application",
        "bom-ref": ref,
        name, version, description,
        purl: ref,
        licenses: [{expression: .license}],
        hashes: [{alg: "SHA-256", content: $sha256}],
        properties: [{name: "target", value: $target}]
      })
    },
    components: [$all | keys[] | select(. != $root) | (if $linked[.] then "required" else "excluded" end) as $scope | $packages[.] | {
      type: "library",
      "bom-ref": ref,
      name, version,
      purl: ref,
      scope: $scope,
      # Some still write MIT/Apache-2.0.
      licenses: (if .license then [{expression: (.license | gsub("/"; " OR "))}] else [] end),
      hashes: [$checksums["\(.name)@\(.version)"] // empty | {alg: "SHA-256", content: .}]
    }] | sort_by(."bom-ref"),
    dependencies: [$all | keys[] as $one | {
      ref: ($packages[$one] | ref),
      dependsOn: [$needs[$one][] | $packages[.] | ref] | unique
    }] | sort_by(.ref)
  }

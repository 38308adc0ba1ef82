// The Nix program that a worker runs: it visits a batch of attributes and traces one line a fact as soon as it knows
// it. Written in what Nix 2.3 knew, so that every later version runs it.
import { quoteNixString } from '../attr-path.ts';
import type { EvaluationTarget } from '../evaluator.ts';
import { captureFunction } from '../shell-environment.ts';

/** One attribute to look at. The item with an empty path is the job's root: its children are found by visiting it. */
export interface WorkItem {
  /** Unique in one evaluation. */
  readonly id: number;
  readonly path: readonly string[];
  /** False: let Nix die of a `throw`, to learn what it says. */
  readonly guarded: boolean;
  /** True: has brought a process down before, and gets one of its own. */
  readonly alone: boolean;
}

export interface ExpressionOptions {
  /** Hexadecimal; what tells our lines from the evaluated code's. */
  readonly nonce: string;
  readonly target: EvaluationTarget;
  /** Where the tree is for the Nix process. */
  readonly root: string;
  /** Set for a flake: see `flake-source.ts`. */
  readonly flakeUrl: string | null;
  readonly items: readonly WorkItem[];
}

/** What a job may have: a set that holds itself has no end. */
export const mostDepth = 32;

/** Of each derivation in `jobsExpression`. */
export const aboutAttribute = 'ekaCiAbout';

/** How many names one line carries: bounds the length of a line. */
const namesPerLine = 1000;

const nixList = (values: readonly string[]): string => `[ ${values.map(quoteNixString).join(' ')} ]`;

const fileRoot = (root: string, target: EvaluationTarget & { kind: 'file' }): string => `
  call = value: if b.isFunction value then value { } else value;
  select = value: name:
    if b.isAttrs value && value ? \${name} then call value.\${name}
    else throw "attribute '\${name}' in selection path '\${b.concatStringsSep "." selection}' not found";
  selection = ${nixList(target.attrPath)};
  found = b.foldl' select (call (import (/. + ${quoteNixString(`${root}/${target.file}`)}))) selection;
${target.isShell === true ? captureFunction : ''}
  root = ${target.isShell === true ? 'capture found' : 'found'};
  enter = path: path == [ ];`;

const flakeRoot = (target: EvaluationTarget & { kind: 'flake' }, url: string): string => `
  flake = b.getFlake ${quoteNixString(url)};
  outputs = flake.\${${quoteNixString(target.output)}} or { };
  root = b.listToAttrs (b.map (name: { inherit name; value = outputs.\${name} or { }; })
    (b.filter (name: outputs ? \${name}) ${nixList(target.systems)}));
  enter = path: b.length path < 2;`;

const shellRoot = ({ systems, shell = '' }: EvaluationTarget & { kind: 'flake' }, url: string): string => `
  flake = b.getFlake ${quoteNixString(url)};
  shells = (flake.devShells or { }).\${${quoteNixString(systems[0] ?? '')}} or { };
  wanted = ${quoteNixString(shell)};
${captureFunction}
  root = if shells ? \${wanted} then capture shells.\${wanted}
    else throw "the flake has no development shell '\${wanted}' for this system; it has: \${b.concatStringsSep ", " (b.attrNames shells)}";
  enter = path: path == [ ];`;

// What a package says of itself. Every field is type-checked before it is printed (a function would kill the process)
// and read under tryEval, so that one broken field costs that field and no more.
const metaFunctions = `
  attempt = value: let tried = b.tryEval value; in if tried.success then tried.value else null;
  text = value: if b.isString value && b.stringLength value <= 4096 then b.unsafeDiscardStringContext value else null;
  take = n: list: b.genList (b.elemAt list) (if b.length list < n then b.length list else n);
  listOf = value: take 200 (if b.isList value then value else if value == null then [ ] else [ value ]);
  firstText = names: value: b.foldl' (found: name:
    if found != null then found else attempt (text (value.\${name} or null))) null names;
  label = names: value: attempt (if b.isAttrs value then firstText names value else text value);
  labels = names: values: b.filter (value: value != null) (b.map (label names) values);
  # Larger ones are no numbers to who reads JSON, and would stand for somebody else.
  userId = one: attempt (if b.isAttrs one && b.isInt (one.githubId or null) && one.githubId > 0
    && one.githubId <= 9007199254740991 then one.githubId else null);
  userIds = values: b.filter (id: id != null) (b.map userId values);
  metaOf = package:
    let
      given = package.meta or { };
      meta = if b.isAttrs given then given else { };
      field = name: attempt (meta.\${name} or null);
      flag = name: attempt ((meta.\${name} or false) == true) == true;
      license = field "license";
      licenses = if b.isAttrs license || b.isList license || b.isString license then listOf license else [ ];
      maintainers = field "maintainers";
      vulnerabilities = field "knownVulnerabilities";
      platforms = field "platforms";
      system = attempt (text (package.system or null));
      otherPlatform = b.isList platforms && platforms != [ ] && system != null
        && attempt (b.all b.isString platforms) == true && !(b.elem system platforms);
    in b.toJSON {
      pname = attempt (text (package.pname or null));
      version = attempt (text (package.version or null));
      licenses = labels [ "spdxId" "shortName" "fullName" ] licenses;
      maintainers = if b.isList maintainers then labels [ "github" "name" "email" ] (listOf maintainers) else [ ];
      maintainerIds = if b.isList maintainers then userIds (listOf maintainers) else [ ];
      position = attempt (text (meta.position or null));
      broken = flag "broken";
      insecure = flag "insecure" || (b.isList vulnerabilities && vulnerabilities != [ ]);
      unfree = flag "unfree" || b.any (one: attempt (b.isAttrs one && (one.free or true) == false) == true) licenses;
      unsupported = if meta ? unsupported then flag "unsupported" else otherPlatform;
    };`;

const describeFunction = `
  describe = package:
    let path = package.drvPath; plain = b.unsafeDiscardStringContext path; in
    # A path that is in its own context is a derivation this evaluation wrote: it exists, and can be rooted.
    b.toJSON { drvPath = plain; known = b.hasAttr plain (b.getContext path); };`;

// Lines are `nonce sequence KIND id payload`. The kinds: S began, and where it is written when that is known by then, else
// P; D is a derivation; M its meta; T threw; U meta of one that threw; C names of a set to enter; N nothing to see; X the
// root is no set; E done, for those that no M, N or X ends. Every line costs a write and a read: hence no more of them.
// Before the last one Nix may die: then what was said so far stands, and its own message tells the rest.
const visitFunctions = `
  look = path: value:
    if b.isAttrs value && (value.type or null) == "derivation" then { kind = "derivation"; facts = describe value; }
    else if !(b.isAttrs value) then { kind = if path == [ ] then "no-set" else "nothing"; facts = b.typeOf value; }
    else if enter path || (value.recurseForDerivations or false) == true then { kind = "set"; facts = ""; }
    else { kind = "nothing"; facts = ""; };
  # For deaths that Nix gives no place for: a stack overflow, a killed process.
  placeOf = path:
    if path == [ ] then null else
    let
      parent = b.foldl' (set: name: set.\${name}) root (take (b.length path - 1) path);
      place = b.unsafeGetAttrPos (b.elemAt path (b.length path - 1)) parent;
    in if place == null then null else { inherit (place) file line column; };
  whole = seen: b.seq seen.kind (b.seq seen.facts seen);
  emit = sequence: text: b.seq (b.trace "\${nonce} \${toString sequence} \${text}" null) (sequence + 1);
  emitNames = id: sequence: names:
    b.foldl' (at: n: emit at "C \${id} \${b.toJSON (b.genList (i: b.elemAt names (n * chunk + i))
      (if (n + 1) * chunk <= b.length names then chunk else b.length names - n * chunk))}")
      sequence (b.genList (n: n) ((b.length names + chunk - 1) / chunk));
  tell = id: value: seen: at:
    if seen.kind == "derivation" then
      let told = emit at "D \${id} \${seen.facts}"; in b.seq told (emit told "M \${id} \${metaOf value}")
    else if seen.kind == "set" then
      let told = emitNames id at (b.attrNames value); in b.seq told (emit told "E \${id}")
    else emit at (if seen.kind == "no-set" then "X \${id} \${b.toJSON seen.facts}" else "N \${id}");
  refuse = id: value: at:
    let
      told = emit at "T \${id}";
      meta = b.tryEval (metaOf value);
      all = if meta.success then emit told "U \${id} \${meta.value}" else told;
    in b.seq told (b.seq all (emit all "E \${id}"));
  begin = sequence: item: id:
    let
      tried = b.tryEval (placeOf item.path);
      place = if tried.success && tried.value != null then " \${b.toJSON tried.value}" else "";
      bare = emit sequence "S \${id}";
    in
      # Looking for the place may take the process down where the set around it was not looked at before.
      if item.near then emit sequence "S \${id}\${place}"
      else b.seq bare (if place == "" then bare else emit bare "P \${id}\${place}");
  visit = sequence: item:
    let
      id = toString item.id;
      began = begin sequence item id;
      value = b.foldl' (set: name: set.\${name}) root item.path;
      tried = if item.guarded then b.tryEval (whole (look item.path value))
        else { success = true; value = whole (look item.path value); };
    in b.seq began (if tried.success then tell id value tried.value began else refuse id value began);`;

const nixItem = (item: WorkItem, index: number): string => {
  const near = index > 0 && item.path.length === 1;
  return `{ id = ${item.id}; guarded = ${item.guarded}; near = ${near}; path = ${nixList(item.path)}; }`;
};

const rootBindings = ({ target, root, flakeUrl }: Omit<ExpressionOptions, 'nonce' | 'items'>): string =>
  target.kind === 'file'
    ? fileRoot(root, target)
    : (target.shell === undefined ? flakeRoot : shellRoot)(target, flakeUrl ?? '');

// What nix-eval-jobs would do otherwise than `look`: it calls functions, and sets that act as one, and does not enter a root
// that says so.
const jobFunctions = `
  # It joins names to one text and takes that apart again, in which a number is a place in a list.
  encode = name:
    let escaped = b.replaceStrings [ "%" "." "\\"" "\\\\" ] [ "%25" "%2E" "%22" "%5C" ] name; in
    if b.match "[0-9]*" name == null then escaped else escaped + "%";
  about = package:
    let facts = b.tryEval (describe package); meta = b.tryEval (metaOf package); in {
      facts = if facts.success then facts.value else null;
      meta = if meta.success then meta.value else null;
    };
  job = path: value:
    if !(b.isAttrs value) then null
    else if (value.type or null) == "derivation" then b.removeAttrs value [ "__functor" ] // { ${aboutAttribute} = about value; }
    else if !(enter path || (value.recurseForDerivations or false) == true) then null
    else if b.length path >= ${mostDepth} then throw "too deep"
    else b.listToAttrs (b.map
      (name: { name = encode name; value = job (path ++ [ name ]) value.\${name}; })
      (b.attrNames (b.removeAttrs value [ "__functor" "recurseForDerivations" ])))
      // { recurseForDerivations = true; };`;

/** What `encode` made of it. */
export const decodeName = (name: string): string =>
  name.replace(/%(?<code>[0-9A-F]{2})?/g, (_all, code: string | undefined) =>
    code === undefined ? '' : String.fromCharCode(Number.parseInt(code, 16)),
  );

/**
 * The job's root for nix-eval-jobs, which walks it itself. Each derivation in it says by `aboutAttribute` what a worker would
 * trace of it: `facts` and `meta`, as texts; null where that throws.
 */
export const jobsExpression = (options: Omit<ExpressionOptions, 'nonce' | 'items'>): string => `let
  b = builtins;
${rootBindings(options)}
${metaFunctions}
${describeFunction}
${jobFunctions}
in if b.isAttrs root then job [ ] root else throw "no set"`;

/** The whole program, for `nix-instantiate --eval --strict -`. Everything that came from outside is in quoted strings. */
export const workerExpression = ({ nonce, items, ...root }: ExpressionOptions): string => `let
  b = builtins;
  nonce = ${quoteNixString(nonce)};
  chunk = ${namesPerLine};
${rootBindings(root)}
${metaFunctions}
${describeFunction}
${visitFunctions}
in b.foldl' visit 0 [
${items.map((item, index) => nixItem(item, index)).join('\n')}
]
`;

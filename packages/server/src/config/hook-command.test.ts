import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { commandFaults, expandCommand, type HookValues, hookVariables } from './hook-command.ts';
import { complaints, configFile, loadValid } from './testing/config-sources.ts';

const containing = (text: string): unknown => expect.stringContaining(text);

const values: HookValues = {
  texts: {
    DRV_PATH: '/nix/store/a.drv',
    EKA_JOB_NAME: 'all; rm -rf $HOME',
    EKA_IS_FOD: 'false',
    EKA_SYSTEM: 'x86_64-linux',
    EKA_PNAME: '$OUT_PATHS',
    EKA_BUILD_LOG_PATH: '/log',
    EKA_COMMIT_SHA: 'c0ffee',
  },
  outPaths: ['/nix/store/o', '/nix/store/o-dev'],
};

const hook = (argument: string): string =>
  `[[hooks]]\nid = "h"\ncommand = ["notify", ${JSON.stringify(argument)}]\n`;

describe('the command of a hook', () => {
  it('gives each output an argument of its own, and puts others into theirs', () => {
    const command = [
      'p',
      '$OUT_PATHS',
      'of=$DRV_PATH',
      '${EKA_SYSTEM}s',
      '[${OUT_PATHS}]',
      'a$$b$$$DRV_PATH',
    ];
    expect(expandCommand(command, values)).toEqual([
      ...['p', '/nix/store/o', '/nix/store/o-dev', 'of=/nix/store/a.drv', 'x86_64-linuxs'],
      ...['[/nix/store/o /nix/store/o-dev]', 'a$b$/nix/store/a.drv'],
    ]);
    expect(expandCommand(['p', '$OUT_PATHS'], { ...values, outPaths: [] })).toEqual(['p']);
  });

  it('looks at no value again, whatever it holds', () => {
    const any = fc.string({ unit: 'binary-ascii' });
    fc.assert(
      fc.property(
        fc.constantFrom(...hookVariables.filter((name) => name !== 'OUT_PATHS')),
        any,
        (name, value) => {
          const texts = { ...values.texts, [name]: value };
          const command = ['p', `$${name}`, `-\${${name}}-`];
          expect(expandCommand(command, { ...values, texts })).toEqual(['p', value, `-${value}-`]);
        },
      ),
    );
  });

  it('is taken as it is where every dollar is doubled', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (given) => {
        const command = ['p', ...given.map((argument) => argument.replaceAll('$', '$$$$'))];
        expect(commandFaults(command)).toEqual([]);
        expect(expandCommand(command, values)).toEqual(['p', ...given]);
      }),
    );
  });

  it('is refused when ekaci.toml is loaded, for a variable that there is not, and for one in place of a program', async () => {
    const [unknown, ...others] = await complaints({ toml: hook('--to=$OUT_PATH') });
    expect(others).toEqual([]);
    expect(unknown).toBe(
      `${configFile}:3: hooks[0].command[1]: names the unknown variable "OUT_PATH": known are ${hookVariables.join(', ')}; write "$$" for a dollar`,
    );
    expect(await complaints({ toml: hook('costs 5$') })).toEqual([
      containing('hooks[0].command[1]: has a "$" that begins no variable: write "$$" for a dollar'),
    ]);
    expect(await complaints({ toml: hook('${DRV_PATH') })).toHaveLength(1);
    const program = '[[hooks]]\nid = "h"\ncommand = ["$EKA_PNAME"]';
    expect(await complaints({ toml: program })).toEqual([
      containing('hooks[0].command[0]: is the program, and must have no "$"'),
    ]);
    const { config } = await loadValid({ toml: hook('--drv=$DRV_PATH') });
    expect(config.hooks[0]).toMatchObject({
      command: ['notify', '--drv=$DRV_PATH'],
      on: ['success'],
      timeout_seconds: 300,
    });
  });
});

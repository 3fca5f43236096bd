// Four samples to one pixel: colour is their mean; class is the majority's, and depth is that of a sample of this class.
uniform sampler2DMS samples, depths;
uniform float seed;
in vec2 corner;
layout(location = 0) out vec4 pixel;
layout(location = 1) out float depth;

float random(vec2 at) { return fract(sin(dot(at, vec2(12.9898, 78.233)) + seed) * 43758.5453); }

void main() {
  ivec2 at = ivec2(gl_FragCoord.xy);
  vec4 found[4];
  vec3 sum = vec3(0.0);
  for (int i = 0; i < 4; i++) {
    found[i] = texelFetch(samples, at, i);
    sum += found[i].rgb;
  }
  int best = 0, most = 0;
  for (int i = 0; i < 4; i++) {
    int votes = 0;
    for (int j = 0; j < 4; j++) votes += int(found[i].a == found[j].a);
    if (votes > most) {
      most = votes;
      best = i;
    }
  }
  float vignette = 1.0 - 0.07 * dot(corner, corner), grain = (random(gl_FragCoord.xy) - 0.5) * 0.018;
  pixel = vec4(sum * 0.25 * vignette + grain, found[best].a);
  depth = texelFetch(depths, at, best).r;
}
